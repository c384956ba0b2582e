// How far the job has come that a machine is at, and how hot a printer's heaters are. Text nodes only, as everywhere on
// this page; what is not told is left out, and the line is gone between two jobs.

const WORDS = {
  en: { done: "{0} done", left: "{0} left", layer: "layer {0} of {1}", layerAlone: "layer {0}", heater: "{0} {1}, set {2}",
    heaters: { nozzle: "nozzle", nozzle1: "nozzle 2", bed: "bed", chamber: "chamber" } },
  ko: { done: "{0} 완료", left: "{0} 남음", layer: "{1}층 중 {0}층", layerAlone: "{0}층", heater: "{0} {1}, 설정 {2}",
    heaters: { nozzle: "노즐", nozzle1: "노즐 2", bed: "베드", chamber: "챔버" } },
};
/** A printer that said nothing for so many seconds is slow to answer, or gone. */
const OLD_AFTER = 120;
const BUSY = ["preparing", "running", "paused", "blocked"];

/** The part of a card for it; `page` lends it the page's own ways to make, change and write things. */
export function makePrint(page) {
  const text = page.make("span"), age = page.make("span", "age");
  const part = page.make("p", "progress", text, " ", age);
  part.hidden = true;
  return { part, text, age };
}

export function drawPrint(at, machine, page) {
  // An event may have told of its end before everything is asked for again.
  const progress = BUSY.includes(machine.state) ? machine.progress : null;
  at.part.hidden = !progress;
  if (!progress) return;
  const words = WORDS[page.language()];
  const isTold = (value) => Number.isFinite(value ?? NaN);
  const parts = [page.fill(words.done, [page.withUnit(progress.share * 100, "%", 0)])];
  if (isTold(progress.remaining_s)) parts.push(page.fill(words.left, [page.length(progress.remaining_s)]));
  if (isTold(progress.layer)) {
    const layers = [page.number(progress.layer), page.number(progress.layers)];
    parts.push(page.fill(isTold(progress.layers) ? words.layer : words.layerAlone, layers));
  }
  for (const heater of progress.heaters ?? []) {
    const [value, target] = [heater.temperature_c, heater.target_c].map((celsius) => page.withUnit(celsius, "°C", 1));
    parts.push(page.fill(words.heater, [words.heaters[heater.name] ?? heater.name, value, target]));
  }
  page.put(at.text, parts.join(" · "));
  const seconds = page.secondsSince(Date.parse(progress.t));
  page.put(at.age, Number.isFinite(seconds) ? page.age(seconds) : "");
  page.mark(at.text, "old", seconds > OLD_AFTER * Math.max(1, page.rate()));
}
