// The gateway's dashboard: reads /api/v1, follows /api/v1/events, and writes text nodes only, so that no name of a
// device or machine can ever become markup. What is not known is shown as "—", never as 0.

import { drawFigures, loadFigures } from "/figures.js";
import { drawPress, makePress } from "/press.js";
import { drawPrint, makePrint } from "/print.js";

const WORDS = {
  en: {
    connecting: "Connecting…", live: "Live", lost: "No connection", lostSince: "No connection to the gateway since {0}. What you see is from then.",
    noMachines: "No machine is configured yet.", simulated: "demo clock × {0}", count: "{0} {1}", since: "for {0}", power: "Power", energy: "Energy today",
    idleEnergy: "{0} of it idle", hours: "Hours today", jobs: "Jobs today", shots: "Shots", items: "Items", scrap: "Scrap", filament: "Filament", perItem: "Energy an item", lastJob: "Last job", devices: "Devices ({0})",
    devicesBad: "{0} not answering", online: "answers", offlineDevice: "does not answer", unseen: "not heard yet", seen: "heard {0}",
    faults: "faults: {0}", lastFault: "last: {0}", ago: "{0} ago", now: "just now", close: "Close", earlier: "Day before", later: "Day after",
    showDay: "show the day of {0}", noSamples: "No samples on this day.", chartFailed: "The chart could not be loaded.",
    summary: "{0}: between {1} and {2}, last {3}", city: "Sent to the city", allSent: "Everything is received.", nothing: "Nothing was sent yet.",
    pending: "{0} waiting, the oldest of {1}.", window: "Time", revision: "Revision", result: "Result", hour: "hour of {0}", dayOf: "day of {0}",
    unavailable: "Not known now.", machines: "Machines", waits: "waiting",
    state: { unknown: "Unknown", offline: "Offline", idle: "Idle", preparing: "Preparing", running: "Running", paused: "Paused", blocked: "Needs help", fault: "Fault", maintenance: "Maintenance" },
    outcome: { completed: "completed", cancelled: "cancelled", failed: "failed", interrupted: "interrupted", unknown: "unclear" },
    receipt: { applied: "received", duplicate: "received before", stale: "replaced by a newer one", conflict: "conflict", rejected: "refused" },
    reason: { off: "off", standby: "standby", ready: "ready", heating: "heating", soaking: "soaking", shots: "shots", power: "power" },
    kind: { three_d_printing: "3D printing", cnc_milling: "CNC milling", circuit_production: "Circuit making", laser: "Laser cutting", precision_milling: "Precision milling", vinyl_cutting: "Vinyl cutting", plastic_shredding: "Plastic shredding", plastic_extrusion: "Plastic extrusion", injection_molding: "Injection moulding", sheet_press: "Sheet press", sewing: "Sewing", electronics: "Electronics", woodwork: "Woodwork", other: "Other" },
    quantity: { power: "power", temperature: "temperature", setpoint: "set value" },
    unit: { h: "{0} h {1} min", min: "{0} min", s: "{0} s", d: "{0} d {1} h" },
  },
  ko: {
    connecting: "연결 중…", live: "실시간", lost: "연결 끊김", lostSince: "{0}부터 게이트웨이와 연결이 끊겼습니다. 화면의 값은 그때의 값입니다.",
    noMachines: "아직 설정된 기계가 없습니다.", simulated: "데모 시계 × {0}", count: "{1} {0}", since: "{0}째", power: "전력", energy: "오늘 전력량",
    idleEnergy: "그중 대기 {0}", hours: "오늘 시간", jobs: "오늘 작업", shots: "사출", items: "제품", scrap: "불량", filament: "필라멘트", perItem: "제품 1개당 에너지", lastJob: "마지막 작업", devices: "장치 ({0})",
    devicesBad: "{0}개 응답 없음", online: "응답함", offlineDevice: "응답 없음", unseen: "아직 수신 없음", seen: "{0} 수신",
    faults: "오류 {0}건", lastFault: "최근: {0}", ago: "{0} 전", now: "방금", close: "닫기", earlier: "전날", later: "다음 날",
    showDay: "{0}의 하루 보기", noSamples: "이날의 측정값이 없습니다.", chartFailed: "그래프를 불러오지 못했습니다.",
    summary: "{0}: 최소 {1}, 최대 {2}, 마지막 {3}", city: "도시로 보낸 집계", allSent: "모두 수신 확인되었습니다.", nothing: "아직 보낸 것이 없습니다.",
    pending: "{0}건 대기 중, 가장 오래된 것은 {1}.", window: "기간", revision: "개정", result: "결과", hour: "{0} 1시간", dayOf: "{0} 하루",
    unavailable: "지금은 알 수 없습니다.", machines: "기계", waits: "대기 중",
    state: { unknown: "알 수 없음", offline: "연결 끊김", idle: "대기", preparing: "준비 중", running: "가동 중", paused: "일시정지", blocked: "조치 필요", fault: "고장", maintenance: "정비 중" },
    outcome: { completed: "완료", cancelled: "취소", failed: "실패", interrupted: "중단", unknown: "불명" },
    receipt: { applied: "수신 확인", duplicate: "이미 수신함", stale: "더 새것으로 대체됨", conflict: "충돌", rejected: "거부됨" },
    reason: { off: "꺼짐", standby: "대기 전력", ready: "사용 가능", heating: "가열", soaking: "온도 안정화", shots: "사출 중", power: "전력" },
    kind: { three_d_printing: "3D 프린팅", cnc_milling: "CNC 가공", circuit_production: "회로 제작", laser: "레이저 가공", precision_milling: "정밀 가공", vinyl_cutting: "비닐 커팅", plastic_shredding: "플라스틱 분쇄", plastic_extrusion: "플라스틱 압출", injection_molding: "사출 성형", sheet_press: "판재 프레스", sewing: "재봉", electronics: "전자", woodwork: "목공", other: "기타" },
    quantity: { power: "전력", temperature: "온도", setpoint: "설정 온도" },
    unit: { h: "{0}시간 {1}분", min: "{0}분", s: "{0}초", d: "{0}일 {1}시간" },
  },
};
const STATES = ["running", "preparing", "paused", "blocked", "idle", "fault", "maintenance", "offline", "unknown"];
const OUTCOMES = ["completed", "cancelled", "failed", "interrupted", "unknown"];
/** Seconds after which a value is old: longer than the slowest usual report, which comes every five minutes. */
const OLD_AFTER = 330;
const NONE = "—";

const byId = (id) => document.getElementById(id);
const lab = { name: "fabgate", zone: undefined, machines: new Map(), alerts: [], outbox: undefined, lostSince: undefined, state: "connecting" };
const cards = new Map();
let language = chosenLanguage();

// ---- words

function chosenLanguage() {
  let kept = null;
  try { kept = localStorage.getItem("language"); } catch { /* Private windows may refuse. */ }
  return kept && Object.hasOwn(WORDS, kept) ? kept : (navigator.language || "").toLowerCase().startsWith("ko") ? "ko" : "en";
}

function say(key, ...values) { return fill(WORDS[language][key], values); }
function fill(text, values) { return text.replace(/\{(\d)\}/g, (_, index) => values[index]); }
function word(list, key) { return Object.hasOwn(WORDS[language][list], key) ? WORDS[language][list][key] : String(key ?? NONE); }

function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}
function withUnit(value, unit, digits) { return Number.isFinite(value ?? NaN) ? `${number(value, digits)} ${unit}` : NONE; }
function watts(value) { return withUnit(value, "W", Math.abs(value) < 10 ? 1 : 0); }
function kilowattHours(wh) { return withUnit(wh === null || wh === undefined ? wh : wh / 1000, "kWh", Math.abs(wh) < 10000 ? 2 : 1); }

function length(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, Math.floor(seconds));
  const unit = WORDS[language].unit;
  if (s < 60) return fill(unit.s, [s]);
  if (s < 3600) return fill(unit.min, [Math.floor(s / 60)]);
  if (s < 172800) return fill(unit.h, [Math.floor(s / 3600), Math.floor((s % 3600) / 60)]);
  return fill(unit.d, [Math.floor(s / 86400), Math.floor((s % 86400) / 3600)]);
}
function age(seconds) { return seconds < 2 ? say("now") : say("ago", length(seconds)); }
function when(time, parts) { return new Intl.DateTimeFormat(language, { timeZone: lab.zone, hourCycle: "h23", ...parts }).format(time); }
function clockText(time) { return when(time, { hour: "2-digit", minute: "2-digit" }); }
/** A calendar day of the lab as 2026-11-23. */
function labDate(time) { return new Intl.DateTimeFormat("en-CA", { timeZone: lab.zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(time); }
function otherDate(date, days) {
  const noon = new Date(`${date}T12:00:00Z`);
  noon.setUTCDate(noon.getUTCDate() + days);
  return noon.toISOString().slice(0, 10);
}

// ---- the gateway's clock: not the browser's, and in a demonstration much faster

const clock = {
  server: undefined, local: 0, rate: 1,
  set(text) {
    const server = Date.parse(text);
    const local = performance.now();
    if (!Number.isFinite(server)) return;
    if (this.server !== undefined && local - this.local > 2000) {
      const rate = (server - this.server) / (local - this.local);
      this.rate = Math.abs(rate - 1) < 0.2 || rate < 0 || rate > 1000 ? 1 : rate;
    }
    this.server = server;
    this.local = local;
  },
  now() { return this.server === undefined ? undefined : this.server + (performance.now() - this.local) * this.rate; },
};
function secondsSince(time) { return time === undefined || clock.now() === undefined ? NaN : Math.max(0, (clock.now() - time) / 1000); }

// ---- elements

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}
/** Changes only what is different: screen readers and selections stay undisturbed. */
function put(element, text) { if (element.textContent !== text) element.textContent = text; }
function mark(element, name, isOn) { element.classList.toggle(name, isOn); }
function attribute(element, name, value) { if (element.getAttribute(name) !== value) element.setAttribute(name, value); }
/** As many children as items, made once and then only changed. */
function list(parent, items, create, change) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(create());
  items.forEach((item, index) => change(parent.children[index], item));
}

// ---- one machine

function makeCard(id) {
  const open = make("button");
  open.type = "button";
  const name = make("h2", "", open);
  const kind = make("p", "hint kind");
  const state = make("span", "state");
  const reason = make("span", "hint reason");
  const powerLabel = make("dt"), power = make("strong", "power"), powerAge = make("span", "age");
  const energyLabel = make("dt"), energy = make("strong", "energy"), energyIdle = make("span", "age");
  const bar = make("div", "bar");
  bar.setAttribute("aria-hidden", "true");
  const hours = make("ul", "hours");
  const jobs = make("p", "jobs"), lastJob = make("p", "hint last-job");
  const summary = make("summary"), devices = make("ul", "devices");
  const press = makePress(id, page), print = makePrint(page);
  const card = make(
    "article", "machine",
    make("header", "", make("div", "", name, kind), state), reason, print.part,
    make("dl", "figures", make("div", "", powerLabel, make("dd", "", power, powerAge)), make("div", "", energyLabel, make("dd", "", energy, energyIdle))),
    press.part, bar, hours, jobs, lastJob, make("details", "", summary, devices));
  card.dataset.id = id;
  card.addEventListener("click", (event) => { if (!event.target.closest("details, .mould")) day.open(id); });
  return { card, open, kind, state, reason, powerLabel, power, powerAge, energyLabel, energy, energyIdle, bar, hours, jobs, lastJob, summary, devices, press, print };
}

/** What the parts in files of their own need of this page. */
const page = {
  make, put, mark, list, number, withUnit, fill, age, length, secondsSince, language: () => language, rate: () => clock.rate, sync: () => sync(),
};

/** Seconds of each state today; the state that holds goes on between two answers. */
function secondsToday(machine, state) {
  const told = machine.today?.[`${state}_s`];
  if (!Number.isFinite(told)) return NaN;
  return told + (machine.state === state && machine.stateAtSync === state && lab.state === "live" ? secondsSince(machine.syncedAt) : 0);
}

function drawCard(machine) {
  const at = cards.get(machine.id);
  const since = secondsSince(Date.parse(machine.since));
  put(at.open, machine.name);
  attribute(at.open, "aria-label", `${machine.name}, ${say("showDay", machine.name)}`);
  attribute(at.open, "aria-expanded", String(day.machine === machine.id));
  attribute(at.open, "aria-controls", "day");
  put(at.kind, word("kind", machine.class));
  attribute(at.card, "data-state", machine.state);
  attribute(at.state, "data-state", machine.state);
  put(at.state, word("state", machine.state));
  put(at.reason, [machine.reason && word("reason", machine.reason), Number.isFinite(since) ? say("since", length(since)) : ""].filter(Boolean).join(" · "));
  const powerAge = secondsSince(machine.powerAt);
  const hasPower = Number.isFinite(machine.power_w ?? NaN);
  put(at.powerLabel, say("power"));
  put(at.power, watts(machine.power_w));
  put(at.powerAge, hasPower && Number.isFinite(powerAge) ? age(powerAge) : "");
  mark(at.power, "old", hasPower && powerAge > OLD_AFTER);
  put(at.energyLabel, say("energy"));
  put(at.energy, kilowattHours(machine.today?.energy_wh));
  const idle = machine.today?.idle_energy_wh;
  put(at.energyIdle, Number.isFinite(idle ?? NaN) ? say("idleEnergy", kilowattHours(idle)) : "");
  mark(at.card, "lost", lab.state === "lost");
  mark(at.card, "open", day.machine === machine.id);
  drawPrint(at.print, machine, page);
  drawPress(at.press, machine, page);
  drawHours(at, machine);
  drawCounts(at, machine);
  drawDevices(at, machine.devices ?? []);
}

function drawHours(at, machine) {
  const all = STATES.map((state) => ({ state, seconds: secondsToday(machine, state) }));
  list(at.bar, all.filter((item) => item.seconds > 0), () => make("span"), (element, item) => {
    attribute(element, "data-state", item.state);
    element.style.flexGrow = String(item.seconds);
  });
  const shown = all.filter((item) => item.seconds >= 1 || ["running", "preparing", "idle"].includes(item.state));
  list(at.hours, shown, () => make("li", "", make("span"), make("span", "some")), (element, item) => {
    attribute(element, "data-state", item.state);
    put(element.children[0], word("state", item.state));
    put(element.children[1], length(item.seconds));
    mark(element.children[1], "run-hours", item.state === "running");
  });
}

function drawCounts(at, machine) {
  const jobs = machine.today?.jobs ?? {};
  const ended = OUTCOMES.filter((outcome) => jobs[outcome] > 0).map((outcome) => say("count", number(jobs[outcome]), word("outcome", outcome)));
  const tellsJobs = ended.length > 0 || (machine.series ?? []).some((name) => name.endsWith("/job"));
  const parts = tellsJobs ? [`${say("jobs")}: ${ended.length ? ended.join(", ") : machine.today ? "0" : NONE}`] : [];
  for (const name of ["shots", "items", "scrap"]) {
    if (Number.isFinite(machine.today?.[name] ?? NaN)) parts.push(`${say(name)}: ${number(machine.today[name])}`);
  }
  const filament = machine.today?.filament_mm;
  if (Number.isFinite(filament ?? NaN)) parts.push(`${say("filament")}: ${withUnit(filament / 1000, "m", 2)}`);
  const perItem = machine.today?.energy_per_item_wh;
  if (Number.isFinite(perItem ?? NaN)) parts.push(`${say("perItem")}: ${withUnit(perItem / 1000, "kWh", 3)}`);
  const job = machine.last_job;
  at.lastJob.hidden = !job;
  if (job) {
    const end = when(Date.parse(job.end), { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
    const how = job.outcome ? [word("outcome", job.outcome)] : [];
    put(at.lastJob, `${say("lastJob")}: ${[end, ...how, withUnit(job.energy_wh === null ? null : job.energy_wh / 1000, "kWh", 3)].join(", ")}`);
  }
  put(at.jobs, parts.join(" · "));
  at.jobs.hidden = parts.length === 0;
}

function drawDevices(at, devices) {
  const silent = devices.filter((device) => device.online === false).length;
  put(at.summary, say("devices", devices.length) + (silent ? ` · ${say("devicesBad", silent)}` : ""));
  list(at.devices, devices, () => make("li", "", make("strong"), " ", make("span", "hint"), make("br"), make("span"), make("br"), make("span", "hint")), (element, device) => {
    const [name, model, , life, , faults] = element.children;
    const seen = secondsSince(device.last_seen ? Date.parse(device.last_seen) : undefined);
    put(name, device.id);
    put(model, [device.driver, device.model].filter(Boolean).join(" · "));
    const isOnline = device.online === true ? say("online") : device.online === false ? say("offlineDevice") : NONE;
    put(life, `${isOnline} · ${device.last_seen ? say("seen", age(seen)) : say("unseen")}`);
    mark(life, "bad", device.online === false);
    put(faults, say("faults", number(device.faults)) + (device.last_fault ? ` · ${say("lastFault", device.last_fault)}` : ""));
  });
}

// ---- the page

function drawAll() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) put(element, say(element.dataset.text));
  for (const element of document.querySelectorAll("[data-label]")) attribute(element, "aria-label", say(element.dataset.label));
  for (const button of document.querySelectorAll("[data-language]")) attribute(button, "aria-pressed", String(button.dataset.language === language));
  drawOutbox();
  day.drawHead();
  tick();
}

/** Everything that changes by itself with time. */
function tick() {
  put(byId("lab-name"), lab.name);
  document.title = lab.name;
  attribute(byId("connection"), "data-state", lab.state);
  put(byId("connection"), say(lab.state));
  const now = clock.now();
  put(byId("clock"), now === undefined ? NONE : when(now, { month: "short", day: "numeric", weekday: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" }));
  byId("speed").hidden = clock.rate === 1;
  put(byId("speed"), say("simulated", number(clock.rate)));
  byId("lost").hidden = lab.state !== "lost";
  if (lab.lostSince) put(byId("lost"), say("lostSince", new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23" }).format(lab.lostSince)));
  byId("empty").hidden = lab.state === "connecting" || lab.machines.size > 0;
  byId("alerts").hidden = lab.alerts.length === 0;
  list(byId("alerts"), lab.alerts, () => make("li", "", make("span"), make("span", "age")), (element, alert) => {
    element.className = alert.severity === "error" ? "error" : "warning";
    attribute(element, "data-id", alert.id);
    put(element.children[0], language === "ko" ? alert.text_ko : alert.text_en);
    put(element.children[1], alert.since ? say("since", length(secondsSince(Date.parse(alert.since)))) : "");
  });
  for (const machine of lab.machines.values()) drawCard(machine);
  drawFigures({ byId, put, list, make, fill, say, word, length, age, when, number, kilowattHours, language });
}

function drawOutbox() {
  const outbox = lab.outbox;
  const windowText = (item) => {
    const start = Date.parse(item.start);
    return item.grain === "P1D" ? say("dayOf", when(start, { month: "short", day: "numeric" })) : say("hour", when(start, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }));
  };
  const received = outbox?.received ?? [], rows = outbox?.rows ?? [];
  const oldest = outbox?.oldest ? when(Date.parse(outbox.oldest), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }) : NONE;
  put(byId("outbox"), !outbox ? say("unavailable") : outbox.pending > 0 ? say("pending", number(outbox.pending), oldest) : received.length ? say("allSent") : say("nothing"));
  const shown = [...rows.slice(0, 5).map((row) => ({ ...row, text: row.last_error || say("waits"), bad: Boolean(row.last_error) })),
    ...received.slice(0, 6).map((row) => ({ ...row, text: word("receipt", row.result) + (row.at ? ` · ${clockText(Date.parse(row.at))}` : ""), bad: ["conflict", "rejected"].includes(row.result) }))];
  byId("windows").hidden = shown.length === 0;
  list(byId("windows").tBodies[0], shown, () => make("tr", "", make("td"), make("td"), make("td")), (element, row) => {
    put(element.children[0], windowText(row));
    put(element.children[1], number(row.revision));
    put(element.children[2], row.text);
    mark(element.children[2], "error", row.bad);
  });
}

// ---- one machine's day

const day = {
  machine: undefined, date: undefined, chart: undefined, turn: 0,
  open(id) {
    this.machine = id;
    this.date = labDate(clock.now() ?? Date.now());
    byId("day").hidden = false;
    this.discard();
    this.drawHead();
    tick();
    byId("day-title").focus({ preventScroll: true });
    byId("day").scrollIntoView({ block: "nearest" });
    this.load();
  },
  close() {
    const button = cards.get(this.machine)?.open;
    this.machine = undefined;
    byId("day").hidden = true;
    this.discard();
    tick();
    button?.focus();
  },
  move(days) {
    this.date = otherDate(this.date, days);
    this.discard();
    this.drawHead();
    this.load();
  },
  discard() {
    this.turn += 1;
    this.chart?.destroy();
    this.chart = undefined;
    byId("legend").replaceChildren();
    put(byId("chart-note"), "");
  },
  isToday() { return this.date === labDate(clock.now() ?? Date.now()); },
  drawHead() {
    if (!this.machine) return;
    put(byId("day-title"), lab.machines.get(this.machine)?.name ?? this.machine);
    put(byId("date"), new Intl.DateTimeFormat(language, { timeZone: "UTC", month: "short", day: "numeric", weekday: "short" }).format(new Date(`${this.date}T12:00:00Z`)));
    byId("later").disabled = this.isToday();
  },
  /** Power on one axis, temperatures and their set values on the other. */
  wanted() {
    const names = lab.machines.get(this.machine)?.series ?? [];
    const channel = (name) => name.slice(name.indexOf("/") + 1);
    const heat = names.filter((name) => /^(temperature|setpoint)\./.test(channel(name)));
    return [...names.filter((name) => channel(name) === "power"), ...heat].slice(0, 6);
  },
  async load() {
    const turn = ++this.turn, names = this.wanted();
    const span = `&from=${this.date}&to=${this.isToday() ? "now" : otherDate(this.date, 1)}&step=60s`;
    const results = await Promise.allSettled(names.map((name) => get(`/api/v1/query?series=${encodeURIComponent(name)}${span}`)));
    if (turn !== this.turn || !this.machine) return;
    const series = results.filter((result) => result.status === "fulfilled").map((result) => result.value).filter((one) => one.points?.some((point) => point.count > 0));
    if (series.length > 0) return this.draw(series);
    this.chart?.destroy();
    this.chart = undefined;
    put(byId("chart-note"), say(names.length && results.every((result) => result.status === "rejected") ? "chartFailed" : "noSamples"));
  },
  draw(series) {
    const labels = series.map((one) => this.label(one.series));
    const rows = this.rows(series);
    const style = getComputedStyle(document.documentElement);
    const colors = this.colors(series).map((name) => style.getPropertyValue(name).trim());
    const isHeat = series.map((one) => one.unit === "°C");
    const time = (value) => clockText(value instanceof Date ? value.getTime() : value);
    const axis = { axisLabelFormatter: (value) => number(value) };
    const both = isHeat.includes(true) && isHeat.includes(false);
    const options = {
      labels: ["t", ...labels], colors, legend: "never", connectSeparatedPoints: true, strokeWidth: 1.6, includeZero: true,
      gridLineColor: style.getPropertyValue("--grid").trim(), axisLineColor: style.getPropertyValue("--line").trim(),
      axes: { x: { axisLabelFormatter: time }, y: axis, y2: { ...axis, drawGrid: false, independentTicks: true } },
      series: Object.fromEntries(labels.map((label, index) => [label, {
        axis: both && isHeat[index] ? "y2" : "y", strokePattern: series[index].series.includes("/setpoint.") ? [6, 4] : null, stepPlot: series[index].series.includes("/setpoint."),
      }])),
      interactionModel: this.mouseOnly(), highlightCallback: (_, x, points) => this.drawLegend(series, labels, colors, x, points), unhighlightCallback: () => this.drawLegend(series, labels, colors),
    };
    if (this.chart) this.chart.updateOptions({ ...options, file: rows });
    else this.chart = new window.Dygraph(byId("chart"), rows, options);
    this.drawLegend(series, labels, colors);
    const text = series.map((one, index) => {
      const values = one.points.filter((point) => point.count > 0);
      const show = (value) => withUnit(value, one.unit, one.unit === "°C" ? 1 : 0);
      return say("summary", labels[index], show(Math.min(...values.map((p) => p.min))), show(Math.max(...values.map((p) => p.max))), show(values[values.length - 1].last));
    }).join(". ");
    attribute(byId("chart"), "aria-label", text);
    put(byId("chart-note"), text);
  },
  /** A finger scrolls the page, also where it meets the chart; a tap still shows the values there. */
  mouseOnly() {
    const { touchstart: _start, touchmove: _move, touchend: _end, ...mouse } = window.Dygraph.defaultInteractionModel;
    return mouse;
  },
  label(name) {
    const [device, ...rest] = name.split("/");
    const [quantity, ...part] = rest.join("/").split(".");
    return `${word("quantity", quantity)}${part.length ? ` ${part.join(".")}` : ""} (${device})`;
  },
  colors(series) {
    const heat = ["--second", "--third", "--fourth"];
    const places = [...new Set(series.map((one) => one.series.split(".").slice(1).join(".")).filter(Boolean))];
    return series.map((one) => one.unit === "°C" ? heat[places.indexOf(one.series.split(".").slice(1).join(".")) % heat.length] : "--power");
  },
  /** Short stretches without samples are bridged (null), long ones stay gaps (NaN). */
  rows(series) {
    const columns = series.map((one) => {
      const values = new Map();
      const isSet = one.series.includes("/setpoint.");
      let last;
      for (const point of one.points) {
        const time = Date.parse(point.t);
        if (point.count > 0) {
          if (last !== undefined && time - last > OLD_AFTER * 1000) values.set(last + 60000, NaN);
          values.set(time, isSet ? point.last : point.mean ?? point.last);
          last = time;
        }
      }
      return isSet ? this.corners(values) : values;
    });
    const times = [...new Set(columns.flatMap((values) => [...values.keys()]))].sort((a, b) => a - b);
    return times.map((time) => [new Date(time), ...columns.map((values) => values.has(time) ? values.get(time) : null)]);
  },
  /** Only where a set value changes: long strokes, that can be dashed. */
  corners(values) {
    const all = [...values];
    return new Map(all.filter(([, value], index) => index === 0 || index === all.length - 1 || !Object.is(value, all[index - 1][1]) || !Object.is(value, all[index + 1][1])));
  },
  drawLegend(series, labels, colors, x, points) {
    list(byId("legend"), labels, () => make("span", "", make("i"), make("span"), " ", make("b")), (element, label) => {
      const index = labels.indexOf(label);
      const value = points?.find((point) => point.name === label)?.yval;
      element.children[0].style.color = colors[index];
      mark(element.children[0], "set", series[index].series.includes("/setpoint."));
      put(element.children[1], label);
      put(element.children[2], x === undefined ? series[index].unit ?? "" : `${clockText(x)} ${withUnit(value, series[index].unit, series[index].unit === "°C" ? 1 : 0)}`);
    });
  },
};

// ---- the gateway

async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function setState(state) {
  if (state === "lost" && lab.state !== "lost") lab.lostSince = Date.now();
  if (state === "live") lab.lostSince = undefined;
  lab.state = state;
}

function take(answer) {
  clock.set(answer.now);
  lab.name = answer.lab?.name ?? lab.name;
  try { new Intl.DateTimeFormat("en", { timeZone: answer.lab?.timezone }); lab.zone = answer.lab?.timezone; } catch { lab.zone = undefined; }
  const known = new Map();
  for (const machine of answer.machines ?? []) {
    const measuring = new Set((machine.series ?? []).filter((name) => name.endsWith("/power")).map((name) => name.split("/")[0]));
    const seen = (machine.devices ?? []).filter((device) => measuring.has(device.id) && device.last_seen).map((device) => Date.parse(device.last_seen));
    const times = [lab.machines.get(machine.id)?.powerAt, ...seen].filter(Number.isFinite);
    known.set(machine.id, { ...machine, syncedAt: Date.parse(answer.now), stateAtSync: machine.state, powerAt: times.length ? Math.max(...times) : undefined });
    if (!cards.has(machine.id)) cards.set(machine.id, makeCard(machine.id));
  }
  for (const [id, at] of cards) {
    if (known.has(id)) continue;
    at.card.remove();
    cards.delete(id);
  }
  lab.machines = known;
  [...known.keys()].forEach((id, index) => {
    const place = byId("machines").children[index];
    if (place !== cards.get(id).card) byId("machines").insertBefore(cards.get(id).card, place ?? null);
  });
}

let syncing = false, syncTimer;
/** Asks for everything; again after ten seconds, or soon after something happened. */
async function sync() {
  if (syncing) return;
  syncing = true;
  clearTimeout(syncTimer);
  const [machines, alerts, outbox] = await Promise.allSettled([get("/api/v1/machines"), get("/api/v1/alerts"), get("/api/v1/outbox")]);
  try {
    if (machines.status === "fulfilled") take(machines.value);
    if (alerts.status === "fulfilled") lab.alerts = alerts.value.alerts ?? [];
    if (outbox.status === "fulfilled") lab.outbox = outbox.value;
    if (machines.status === "rejected") setState("lost");
    else if (stream?.readyState === EventSource.OPEN) setState("live");
  } finally {
    syncing = false;
    syncTimer = setTimeout(sync, 10000);
  }
  drawAll();
}
function syncSoon() {
  clearTimeout(syncTimer);
  syncTimer = setTimeout(sync, 700);
}

let stream, drawing = false;
function listen() {
  stream?.close();
  stream = new EventSource("/api/v1/events");
  stream.onopen = () => {
    setState("live");
    sync();
  };
  stream.onerror = () => {
    setState("lost");
    tick();
    // The browser tries again by itself, unless the answer was no stream at all.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  };
  const on = (name, handle) => stream.addEventListener(name, (event) => {
    let data;
    try { data = JSON.parse(event.data); } catch { return; }
    handle(data, lab.machines.get(data.machine));
  });
  on("reading", (data, machine) => {
    if (!machine || data.channel !== "power") return;
    machine.power_w = typeof data.value === "number" ? data.value : null;
    machine.powerAt = Date.parse(data.t);
    // A busy lab says more than anybody can read: one drawing a moment is enough.
    if (!drawing) {
      drawing = true;
      setTimeout(() => { drawing = false; tick(); }, 250);
    }
  });
  on("state", (data, machine) => {
    if (!machine) return syncSoon();
    Object.assign(machine, { state: data.state, reason: data.reason, since: data.since });
    tick();
    syncSoon();
  });
  for (const name of ["job", "rollup", "alert", "mould"]) on(name, syncSoon);
}

// Its own legend is markup with inline styles, which this page's policy refuses.
if (window.Dygraph) window.Dygraph.PLUGINS = window.Dygraph.PLUGINS.filter((plugin) => plugin !== window.Dygraph.Plugins.Legend);
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    language = button.dataset.language;
    try { localStorage.setItem("language", language); } catch { /* It holds for this page at least. */ }
    drawAll();
    if (day.machine) { day.discard(); day.load(); }
  });
}
byId("earlier").addEventListener("click", () => day.move(-1));
byId("later").addEventListener("click", () => day.move(1));
byId("close").addEventListener("click", () => day.close());
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && day.machine) day.close(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) sync(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (day.machine) { day.discard(); day.load(); } });
setInterval(tick, 1000);
setInterval(() => { if (day.machine && day.isToday() && lab.state === "live") day.load(); }, 15000);
drawAll();
listen();
sync();
/** Sums over days change slowly. */
async function figures() {
  await loadFigures(get);
  tick();
  setTimeout(figures, 60000);
}
figures();
