// The player: state, what it draws, what the reader can do.

const SPEEDS = [0.1, 0.15, 0.2, 0.25, 0.33, 0.5, 0.75, 1, 1.5, 2, 3, 4];
const WINDOWS_MS = [5, 10, 20, 33, 50, 75, 100, 150, 200, 300, 500];
const STEP_US = 10_000;

const nearest = (values, wanted) => values.reduce(
  (best, value, i) => (Math.abs(Math.log(value / wanted)) < Math.abs(Math.log(values[best] / wanted)) ? i : best), 0);

const [WIDTH, HEIGHT] = data.sensor, DURATION = data.duration_us;
const state = {
  time: 0, playing: false, last: null,
  speed: nearest(SPEEDS, data.speed), window: nearest(WINDOWS_MS, data.window_us / 1000),
  shows: [true, true], own: {},
  framing: 0, augmentation: null, draw: 0, turn: 0,
};
const source = data.frames;
const painter = new EventPainter(find("events"), WIDTH, HEIGHT);
let events = null, frames = null, times = [], pictures = [];
let colours = readColours(), settled = null;

function seconds(us) { return `${(us / 1e6).toFixed(DURATION < 1e7 ? 3 : 2)} s`; }

function drawMoment() {
  const until = state.time, from = until - WINDOWS_MS[state.window] * 1000;
  const begin = search(events.t, from, events.n), end = search(events.t, until, events.n);
  const shown = painter.paint(events, begin, end, state.shows, colours.rgb);
  find("shown").textContent = shortNumber(shown);
  const clock = `${seconds(until)} of ${seconds(DURATION)}`;
  find("clock").textContent = clock;
  find("cursor").style.left = `${(100 * until) / DURATION}%`;
  find("scrub").setAttribute("aria-valuenow", (until / 1e6).toFixed(3));
  find("scrub").setAttribute("aria-valuetext", clock);
  if (source) {
    let at = 0;
    while (at + 1 < source.times_us.length && source.times_us[at + 1] <= until) at++;
    const context = find("source").getContext("2d");
    if (pictures[at].complete) context.drawImage(pictures[at], 0, 0);
    find("source-words").textContent = seconds(source.times_us[at]);
  }
  [...find("steps").children].forEach((item, k) => {
    const current = until > times[k] && until <= times[k + 1];
    item.firstChild.setAttribute("aria-current", String(current));
  });
}

function drawCurve() {
  const marks = times.slice(1, -1);
  const top = drawRates(find("rates"), events, DURATION, state.shows, colours.text, marks);
  find("rate-words").textContent = `Events a second; top of the scale ${shortNumber(top)}.`;
}

// The variant on show, as evfer packed it.
function variant() {
  if (state.augmentation === null) return data.framings[state.framing];
  return data.augmentations[state.augmentation].draws[state.draw];
}

async function showFrames() {
  const turn = ++state.turn, shown = variant();
  const cells = await unpack(shown.cells);
  if (turn !== state.turn) return; // a later choice was faster
  const [all, , height, width] = shown.shape, steps = cells.length / (2 * height * width) || 0;
  frames = { steps, height, width, data: cells, real: shown.real, counts: shown.counts };
  times = shown.times_us;
  find("frames-words").textContent = `${all} × 2 × ${height} × ${width} numbers; ` +
    `${shown.used >= 0.9995 ? "every event falls" : `${(100 * shown.used).toFixed(1)}% of the events fall`} into a step.` +
    (shown.kind === "count" ? " Training refuses this kind: each clip has another number of steps." : "") +
    (all > steps ? ` The first ${steps} are on show.` : "");
  if (state.augmentation === null) find("augmentation-words").textContent = "";
  else {
    const { about, chance } = data.augmentations[state.augmentation];
    find("augmentation-words").textContent = `${about}. Drawn here: ${shown.words}. ${chance}.`;
  }
  find("region").hidden = !shown.region;
  if (shown.region) {
    const [left, top, wide, tall] = shown.region, style = find("region").style;
    style.left = `${(100 * left) / WIDTH}%`;
    style.top = `${(100 * top) / HEIGHT}%`;
    style.width = `${(100 * wide) / WIDTH}%`;
    style.height = `${(100 * tall) / HEIGHT}%`;
  }
  const list = find("steps");
  while (list.children.length > steps) list.lastChild.remove();
  while (list.children.length < steps) list.append(stepItem(list.children.length));
  limitWidth(list);
  paintSteps();
  drawCurve();
  drawMoment();
}

function stepItem(k) {
  const item = document.createElement("li"), button = document.createElement("button");
  button.type = "button";
  button.append(...["canvas", "span", "span"].map((name) => document.createElement(name)));
  button.addEventListener("click", () => seek(times[k + 1]));
  item.append(button);
  return item;
}

function paintSteps() {
  let highest = 1e-9;
  for (const value of frames.data) if (value > highest) highest = value;
  [...find("steps").children].forEach((item, k) => {
    const [canvas, words, count] = item.firstChild.children;
    paintStep(canvas, frames, k, state.shows, colours.rgb, highest);
    const span = `${(times[k] / 1e6).toFixed(2)}–${(times[k + 1] / 1e6).toFixed(2)} s`;
    words.textContent = `${k + 1} · ${span}`;
    count.textContent = k in frames.counts ? `${shortNumber(frames.counts[k])} events` : "";
  });
}

function drawAll() {
  colours = readColours(state.own);
  for (const [sign, name] of [[0, "off"], [1, "on"]]) find(`colour-${sign}`).value = colours.text[name];
  if (!frames) return;
  paintSteps();
  drawCurve();
  drawMoment();
}

function seek(time) {
  state.time = Math.max(0, Math.min(DURATION, time));
  if (!state.playing || time >= DURATION) drawMoment();
}

function play(on) {
  if (on && state.time >= DURATION) state.time = 0;
  state.playing = on;
  state.last = null;
  find("play").textContent = on ? "Pause" : "Play";
  if (!on) return;
  find("big").hidden = true; // what it stands over is watched from now on
  requestAnimationFrame(tick);
}

function tick(now) {
  if (!state.playing) return;
  // a page that slept does not jump
  if (state.last !== null) state.time += Math.min(now - state.last, 100) * 1000 * SPEEDS[state.speed];
  state.last = now;
  if (state.time >= DURATION) {
    if (find("loop").checked) state.time %= DURATION;
    else {
      state.time = DURATION;
      play(false);
    }
  }
  drawMoment();
  if (state.playing) requestAnimationFrame(tick);
}

function setSpeed(index) {
  state.speed = Math.max(0, Math.min(SPEEDS.length - 1, index));
  find("speed").value = state.speed;
  find("speed-words").textContent = `${SPEEDS[state.speed]}×`;
}

function setWindow(index) {
  state.window = index;
  find("window").value = index;
  find("window-words").textContent = `${WINDOWS_MS[index]} ms`;
}

function chooseDraw(index) {
  state.draw = index;
  [...find("draws").children].forEach((button, k) => button.setAttribute("aria-pressed", String(k === index)));
  settled = showFrames();
}

function wireScrubbing() {
  const scrub = find("scrub");
  let was = false, held = false;
  const follow = (event) => {
    const box = scrub.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * DURATION);
    drawMoment();
  };
  scrub.setAttribute("aria-valuemax", (DURATION / 1e6).toFixed(3));
  scrub.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    was = state.playing;
    held = true;
    play(false);
    scrub.setPointerCapture(event.pointerId);
    follow(event);
  });
  scrub.addEventListener("pointermove", (event) => { if (held) follow(event); });
  const release = () => {
    if (held && was) play(true);
    held = false;
  };
  scrub.addEventListener("pointerup", release);
  scrub.addEventListener("pointercancel", release);
}

function onKey(event) {
  const target = event.target;
  if (event.ctrlKey || event.altKey || event.metaKey || target.matches("input, select, textarea")) return;
  const size = STEP_US * (event.shiftKey ? 10 : 1);
  const does = {
    " ": () => play(!state.playing),
    ArrowLeft: () => { play(false); seek(state.time - size); },
    ArrowRight: () => { play(false); seek(state.time + size); },
    ArrowUp: () => { play(false); seek(state.time + size); },
    ArrowDown: () => { play(false); seek(state.time - size); },
    "+": () => setSpeed(state.speed + 1),
    "-": () => setSpeed(state.speed - 1),
    Home: () => { play(false); seek(0); },
    End: () => { play(false); seek(DURATION); },
  }[event.key];
  // a button takes its own space, and the page keeps its arrows unless the time line has the focus
  if (!does || (event.key === " " && target.matches("button, summary, a"))) return;
  if (["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key) && target.id !== "scrub") return;
  event.preventDefault();
  does();
}

// Augmented frames are those of the first framing, the recipe's.
function wireFraming() {
  data.framings.forEach(({ name, shape }, i) => {
    find("framing").add(new Option(`${name}: ${shape[0]} × ${shape[3]} × ${shape[2]}`, i));
  });
  find("framing").addEventListener("change", (event) => {
    state.framing = Number(event.target.value);
    find("augmentation").value = "";
    chooseAugmentation("");
  });
  data.augmentations.forEach(({ name }, i) => find("augmentation").add(new Option(name, i)));
  find("augmentation").addEventListener("change", (event) => {
    if (event.target.value !== "") find("framing").value = state.framing = 0;
    chooseAugmentation(event.target.value);
  });
}

function chooseAugmentation(chosen) {
  state.augmentation = chosen === "" ? null : Number(chosen);
  const draws = find("draws"), n = chosen === "" ? 0 : data.augmentations[chosen].draws.length;
  draws.replaceChildren(...Array.from({ length: n }, (_, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `draw ${k + 1}`;
    button.addEventListener("click", () => chooseDraw(k));
    return button;
  }));
  draws.hidden = n < 2;
  chooseDraw(0);
}

// Where the screen has fewer points than the sensor, single events would fall between them.
function fitPictures() {
  const canvas = find("events"), points = canvas.clientWidth * (window.devicePixelRatio || 1);
  canvas.style.imageRendering = points < WIDTH ? "auto" : "";
}

function wire() {
  document.querySelector(".pictures").style.setProperty("--aspect", WIDTH / HEIGHT);
  for (const id of ["play", "big"]) find(id).addEventListener("click", () => play(!state.playing));
  find("events").addEventListener("click", () => play(!state.playing));
  find("back").addEventListener("click", () => { play(false); seek(state.time - STEP_US); });
  find("on").addEventListener("click", () => { play(false); seek(state.time + STEP_US); });
  find("speed").max = SPEEDS.length - 1;
  find("speed").addEventListener("input", (event) => setSpeed(Number(event.target.value)));
  find("window").max = WINDOWS_MS.length - 1;
  find("window").addEventListener("input", (event) => { setWindow(Number(event.target.value)); drawMoment(); });
  for (const sign of [0, 1]) {
    find(`show-${sign}`).addEventListener("change", (event) => { state.shows[sign] = event.target.checked; drawAll(); });
    find(`colour-${sign}`).addEventListener("input", (event) => { state.own[sign ? "on" : "off"] = event.target.value; drawAll(); });
  }
  find("reset").addEventListener("click", () => { state.own = {}; drawAll(); });
  document.addEventListener("keydown", onKey);
  addEventListener("resize", () => {
    fitPictures();
    if (events) drawCurve();
  });
  fitPictures();
  wireScrubbing();
  wireFraming();
  themeButton(drawAll);
  setSpeed(state.speed);
  setWindow(state.window);
}

// Shows the moment with the most events before the first play.
function busiest() {
  const length = WINDOWS_MS[state.window] * 1000;
  let best = 0, most = -1;
  for (let i = 0, j = 0; i < events.n; i++) {
    while (events.t[i] - events.t[j] >= length) j++;
    if (i - j > most) { most = i - j; best = events.t[i] + 1; }
  }
  return best;
}

async function begin() {
  wire();
  if (source) {
    Object.assign(find("source"), { width: source.width, height: source.height });
    pictures = source.images.map((address) => Object.assign(new Image(), { src: address }));
    await Promise.all(pictures.map((picture) => picture.decode()));
  }
  events = await unpackEvents(data.events);
  state.time = busiest();
  await (settled = showFrames());
  drawAll();
  document.documentElement.dataset.ready = "yes";
}

// for tests, and for pages that want to steer a player
window.evferPlayer = {
  state, play, seek, inflateHere, fromBase64,
  get settled() { return settled; },
  get events() { return events; },
  get frames() { return frames; },
};

begin().catch((error) => {
  find("fault").textContent = `This page cannot show its clip: ${error.message}`;
  find("fault").hidden = false;
  throw error;
});
