// What follows from the last seven days of each machine, and what each city would be told of the last window that is over:
// the very content that would be sent, so that a lab sees what leaves it.

const WORDS = {
  en: {
    week: "Last seven days", machine: "Machine", use: "Used", open: "Of opening hours", outside: "Outside them", waste: "On but unused", energy: "Energy", each: "a job", item: "an item", faults: "Between faults", cost: "Cost", carbon: "CO₂",
    preview: "What {0} would be told of {1}", kept: "Kept back, because it could show what one person did: {0}", nothingKept: "Nothing is kept back.", coverage: "Known: {0} of use, {1} of energy", none: "No city is configured: nothing is sent.", age: "worked out {0}", unavailable: "Not known now.",
  },
  ko: {
    week: "최근 7일", machine: "기계", use: "사용", open: "개방 시간 중", outside: "개방 시간 외", waste: "켜진 채 미사용", energy: "전력량", each: "작업당", item: "제품당", faults: "고장 간격", cost: "비용", carbon: "CO₂",
    preview: "{1}에 대해 {0}에 전해질 내용", kept: "개인의 행동이 드러날 수 있어 전하지 않음: {0}", nothingKept: "숨기는 항목이 없습니다.", coverage: "파악된 비율: 사용 {0}, 전력 {1}", none: "설정된 도시가 없어 아무것도 보내지 않습니다.", age: "{0} 계산", unavailable: "지금은 알 수 없습니다.",
  },
};

const state = { reports: undefined, cities: undefined, at: undefined, failed: false };

/** Asks again; `get` fetches JSON. */
export async function loadFigures(get) {
  try {
    const [report, preview] = await Promise.all([get("/api/v1/report?from=-7d"), get("/api/v1/preview")]);
    Object.assign(state, { reports: report.machines ?? [], cities: preview.cities ?? [], at: performance.now(), failed: false });
  } catch { state.failed = true; }
}

/** Draws both parts; `page` holds the page's own words, formats and element helpers. */
export function drawFigures(page) {
  const { byId, put, list, make, fill, length, kilowattHours, number, age, when, word, language } = page;
  const say = (key, ...values) => fill(WORDS[language][key], values);
  put(byId("week-title"), say("week"));
  const old = state.at === undefined ? "" : say("age", age((performance.now() - state.at) / 1000));
  put(byId("week-age"), state.failed ? say("unavailable") : old);
  const share = (value) => (Number.isFinite(value ?? NaN) ? `${number(value * 100, 1)} %` : "—");
  const each = (wh, key) => (Number.isFinite(wh ?? NaN) ? `${number(wh, wh < 10 ? 2 : 0)} Wh ${say(key)}` : "");
  const rows = state.reports ?? [];
  const heads = ["machine", "use", "open", "outside", "waste", "energy", "faults"];
  list(byId("week").tHead.rows[0], heads, () => make("th"), (element, key) => put(element, say(key)));
  list(byId("week").tBodies[0], rows, () => make("tr", "", ...heads.map((_, index) => make(index ? "td" : "th"))), (element, row) => {
    const energy = [kilowattHours(row.energy_wh), each(row.energy_wh_per_job, "each"), each(row.energy_wh_per_item, "item")];
    const cells = [row.name, length(row.use_s ?? NaN), share(row.utilisation), length(row.use_outside_s ?? NaN),
      [length(row.waste?.on_but_unused_s ?? NaN), kilowattHours(row.waste?.energy_wh)].filter((text) => text !== "—").join(", ") || "—",
      energy.filter((text) => text && text !== "—").join(", ") || "—", length(row.between_faults_s ?? NaN)];
    cells.forEach((text, index) => put(element.children[index], text));
  });
  byId("week").hidden = rows.length === 0;

  const told = (state.cities ?? []).flatMap((city) => (city.rollups ?? []).map((rollup) => ({ city: city.name, rollup })));
  put(byId("preview-none"), state.cities && told.length === 0 ? say("none") : "");
  list(byId("preview"), told, () => make("li", "", make("h3"), make("p"), make("ul", "told"), make("p", "hint"), make("p", "hint")), (element, { city, rollup }) => {
    const start = Date.parse(rollup.start), isDay = rollup.grain === "P1D";
    const time = when(start, isDay ? { month: "short", day: "numeric" } : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
    put(element.children[0], say("preview", city, time));
    put(element.children[1], line(rollup.totals, page));
    list(element.children[2], rollup.machines ?? rollup.classes ?? [], () => make("li"), (item, part) => {
      put(item, `${part.id ?? word("kind", part.class)}: ${line(part, page)}`);
    });
    const kept = rollup.suppressed ?? [];
    put(element.children[3], kept.length ? say("kept", kept.join(", ")) : say("nothingKept"));
    put(element.children[4], say("coverage", share(rollup.coverage?.usage), share(rollup.coverage?.energy)));
  });
}

/** The totals of a rollup that are known, in a line. */
function line(totals, { length, kilowattHours, number, word, say }) {
  const parts = [`${word("state", "running")} ${length(totals?.states_s?.running ?? NaN)}`, kilowattHours(totals?.energy_wh)];
  const jobs = totals?.jobs ? Object.values(totals.jobs).reduce((sum, count) => sum + count, 0) : undefined;
  if (jobs !== undefined) parts.push(`${say("jobs")} ${number(jobs)}`);
  if (totals?.items !== null && totals?.items !== undefined) parts.push(`${say("items")} ${number(totals.items)}`);
  for (const [polymer, grams] of Object.entries(totals?.mass_product_g ?? {})) parts.push(`${polymer.toUpperCase()} ${number(grams)} g`);
  return parts.filter((text) => !text.endsWith("—")).join(" · ") || "—";
}
