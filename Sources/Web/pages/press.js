// What a press shows beside other machines: its zones against their set values, the mould that is in it, and grams.
// Text nodes only, as everywhere on this page; what is not known is "—".

const WORDS = {
  en: {
    zone: "Zone {0}", broken: "sensor broken", set: "set {0}", mould: "Mould", choose: "choose…", refused: "Not changed: {0}",
    shot: "{0} a shot, {1} {2}", flows: "{0} flows at {1}–{2} °C", in: "Material in", product: "Product", scrap: "Scrap", today: "today",
    polymer: { pp: "PP", hdpe: "HDPE", ldpe: "LDPE", ps: "PS", pla: "PLA", pet: "PET", abs: "ABS", other: "other material" },
    accounts: "by shots {0}, by scale {1}",
  },
  ko: {
    zone: "{0}번 존", broken: "센서 고장", set: "설정 {0}", mould: "금형", choose: "선택…", refused: "바꾸지 못했습니다: {0}",
    shot: "1회 {0}, {2} {1}개", flows: "{0} 용융 {1}–{2} °C", in: "투입 재료", product: "제품", scrap: "불량", today: "오늘",
    polymer: { pp: "PP", hdpe: "HDPE", ldpe: "LDPE", ps: "PS", pla: "PLA", pet: "PET", abs: "ABS", other: "기타 재료" },
    accounts: "사출 기준 {0}, 저울 기준 {1}",
  },
};
const MASSES = ["in", "product", "scrap"];
/** A zone that said nothing for so many seconds is old: controllers are asked every few seconds. */
const OLD_AFTER = 60;

/** The part of a card for a press; `page` lends it the page's own ways to make, change and write things. */
export function makePress(id, page) {
  const zones = page.make("ul", "zones");
  const label = page.make("label"), select = page.make("select"), shot = page.make("span", "hint");
  const refusal = page.make("p", "bad");
  refusal.setAttribute("role", "alert");
  refusal.hidden = true;
  const masses = page.make("dl", "masses"), accounts = page.make("p", "hint");
  const part = page.make("div", "press", zones, page.make("p", "mould", label, select, shot), refusal, masses, accounts);
  select.id = `mould-${id}`;
  label.htmlFor = select.id;
  const at = { part, zones, label, select, shot, refusal, masses, accounts, wanted: undefined };
  select.addEventListener("change", () => choose(at, id, page));
  return at;
}

async function choose(at, id, page) {
  at.wanted = at.select.value;
  let problem;
  try {
    const answer = await fetch(`/api/v1/machines/${encodeURIComponent(id)}/mould`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ mould: at.wanted }), signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) problem = (await answer.json().catch(() => ({}))).detail ?? String(answer.status);
  } catch (error) { problem = error.message; }
  at.refusal.hidden = problem === undefined;
  page.put(at.refusal, problem === undefined ? "" : say(page, "refused", problem));
  at.wanted = undefined;
  page.sync();
}

function say(page, key, ...values) { return page.fill(WORDS[page.language()][key], values); }
function polymer(page, name) { return WORDS[page.language()].polymer[name] ?? name; }
function celsius(page, value) { return page.withUnit(value, "°C", 1); }
function grams(page, value) { return value >= 10000 ? page.withUnit(value / 1000, "kg", 2) : page.withUnit(value, "g", value % 1 === 0 ? 0 : 1); }

export function drawPress(at, machine, page) {
  const zones = machine.zones ?? [], material = machine.material;
  at.part.hidden = zones.length === 0 && !material;
  if (at.part.hidden) return;
  drawZones(at, zones, material, page);
  at.select.parentElement.hidden = !material?.moulds?.length;
  if (material) drawMould(at, material, page);
  drawMasses(at, machine, material, page);
}

function drawZones(at, zones, material, page) {
  page.list(at.zones, zones, () => page.make("li", "", page.make("span", "hint"), page.make("strong"), page.make("span", "hint"), page.make("span", "age"), page.make("i")), (element, zone) => {
    const [name, value, set, age, bar] = element.children;
    const seconds = page.secondsSince(zone.t ? Date.parse(zone.t) : undefined);
    const isHot = Number.isFinite(zone.temperature_c ?? NaN) && zone.temperature_c > (material?.most_c ?? 260);
    page.put(name, say(page, "zone", zone.zone.replace(/^zone/, "")));
    page.put(value, zone.broken ? say(page, "broken") : celsius(page, zone.temperature_c));
    page.mark(value, "bad", zone.broken || isHot);
    page.mark(value, "old", seconds > OLD_AFTER * Math.max(1, page.rate()));
    page.put(set, say(page, "set", celsius(page, zone.setpoint_c)));
    page.put(age, Number.isFinite(seconds) ? page.age(seconds) : "");
    const share = zone.setpoint_c > 0 ? Math.min(1, Math.max(0, zone.temperature_c / zone.setpoint_c)) : 0;
    bar.style.setProperty("--share", String(Number.isFinite(share) ? share : 0));
    bar.setAttribute("aria-hidden", "true");
    page.mark(bar, "bad", isHot);
  });
  at.zones.hidden = zones.length === 0;
}

function drawMould(at, material, page) {
  page.put(at.label, say(page, "mould"));
  const moulds = [{ name: "" }, ...(material.moulds ?? [])];
  page.list(at.select, moulds, () => page.make("option"), (option, mould) => {
    if (option.value !== mould.name) option.value = mould.name;
    page.put(option, mould.name || say(page, "choose"));
    option.disabled = mould.name === "";
    option.hidden = mould.name === "" && Boolean(material.mould);
  });
  // While somebody chooses, their choice stands there and not what the gateway still says.
  const shown = at.wanted ?? material.mould ?? "";
  if (at.select.value !== shown) at.select.value = shown;
  const mould = material.moulds?.find((one) => one.name === material.mould);
  const parts = [];
  if (mould) parts.push(say(page, "shot", grams(page, mould.shot_g), page.number(mould.items), mould.item));
  if (material.flows_c) parts.push(say(page, "flows", polymer(page, material.polymer), page.number(material.flows_c[0]), page.number(material.flows_c[1])));
  page.put(at.shot, parts.join(" · "));
}

function drawMasses(at, machine, material, page) {
  at.masses.hidden = !material;
  const told = material?.by_shots_g !== null && material?.by_shots_g !== undefined;
  at.accounts.hidden = !told;
  if (!material) return;
  page.list(at.masses, MASSES, () => page.make("div", "", page.make("dt"), page.make("dd")), (element, name) => {
    const kinds = Object.entries(machine.today?.[`mass_${name}_g`] ?? {});
    page.put(element.children[0], `${say(page, name)} · ${say(page, "today")}`);
    page.put(element.children[1], kinds.length ? kinds.map(([kind, mass]) => `${grams(page, mass)} ${polymer(page, kind)}`).join(", ") : material.known ? grams(page, 0) : "—");
  });
  if (told) page.put(at.accounts, say(page, "accounts", grams(page, material.by_shots_g), grams(page, material.by_scale_g)));
  page.mark(at.accounts, "bad", told && material.agree === false);
}
