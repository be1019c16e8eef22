// The player: state, what it draws, what the reader can do.

const SPEEDS = [0.1, 0.15, 0.2, 0.25, 0.33, 0.5, 0.75, 1, 1.5, 2, 3, 4];
const WINDOWS_MS = [5, 10, 20, 33, 50, 75, 100, 150, 200, 300, 500];
const SIZES = [16, 32, 48, 64, 96, 128, 160, 200, 224, 256];
const STEP_US = 10_000;
const MOST_STEPS = 64; // pictures of steps on show

const nearest = (values, wanted) => values.reduce(
  (best, value, i) => (Math.abs(Math.log(value / wanted)) < Math.abs(Math.log(values[best] / wanted)) ? i : best), 0);

const [WIDTH, HEIGHT] = data.sensor, DURATION = data.duration_us;
const state = {
  time: 0, playing: false, last: null,
  speed: nearest(SPEEDS, data.speed), window: nearest(WINDOWS_MS, data.window_us / 1000),
  shows: [true, true], own: {},
  augmentation: null, draw: 0, turn: 0,
  how: { ...data.framing },
};
const source = data.frames;
const painter = new EventPainter(find("events"), WIDTH, HEIGHT);
let original = null, events = null, frames = null, times = [], pictures = [];
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
    find("source-words").textContent = `${seconds(source.times_us[at])}${variant() ? ", not augmented" : ""}`;
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

// When each step begins, and when the last one ends.
function stepTimes(how, bounds) {
  const n = events.n, end = n ? events.t[n - 1] + 1 : 0;
  if (how.kind === "voxel_grid") {
    const start = n ? events.t[0] : 0;
    return Array.from({ length: how.n_steps + 1 }, (_, k) => start + ((end - start) * k) / how.n_steps);
  }
  if (TIME_KINDS.includes(how.kind)) return timeEdges(events, how.n_steps, how.edge);
  if (!bounds.length) return [0];
  return [...bounds.map(([begin]) => (begin < n ? events.t[begin] : end)),
    bounds[bounds.length - 1][1] < n ? events.t[bounds[bounds.length - 1][1]] : end];
}

function variant() {
  return state.augmentation === null ? null : data.augmentations[state.augmentation].draws[state.draw];
}

function makeSteps() {
  const how = state.how, drawn = variant();
  const list = find("steps");
  for (const [name, kinds] of [["counts", ["time_bins", "count", "event_bins", "count_or_bins"]],
    ["fixed", ["time_bins", "event_bins", "count_or_bins", ...REAL_KINDS]],
    ["ranked", ["count", "count_or_bins"]], ["fading", ["time_surface", "decay"]], ["code", ["binary_code"]]]) {
    for (const field of document.querySelectorAll(`[data-for=${name}]`)) field.hidden = !kinds.includes(how.kind);
  }
  frames = makeFrames(events, data.sensor, how, drawn && drawn.region);
  if (drawn && drawn.mirror) frames = mirrorFrames(frames, drawn.mirror);
  times = stepTimes(how, frames.bounds);
  const used = how.kind === "voxel_grid" ? events.n
    : frames.bounds.reduce((sum, [begin, end]) => sum + end - begin, 0);
  const share = events.n ? (100 * used) / events.n : 100;
  find("frames-words").textContent = `${frames.steps} × 2 × ${frames.height} × ${frames.width} numbers; ` +
    `${share >= 99.95 ? "every event falls" : `${share.toFixed(1)}% of the events fall`} into a step.` +
    (how.kind === "count" ? " Training refuses this kind: each clip has another number of steps." : "") +
    (frames.steps > MOST_STEPS ? ` The first ${MOST_STEPS} are on show.` : "");
  const shown = Math.min(frames.steps, MOST_STEPS);
  while (list.children.length > shown) list.lastChild.remove();
  while (list.children.length < shown) list.append(stepItem(list.children.length));
  limitWidth(list);
  paintSteps();
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
    const bound = frames.bounds.length === frames.steps ? frames.bounds[k] : null;
    words.textContent = `${k + 1} · ${span}`;
    count.textContent = bound ? `${shortNumber(bound[1] - bound[0])} events` : "";
  });
}

function drawAll() {
  colours = readColours(state.own);
  for (const [sign, name] of [[0, "off"], [1, "on"]]) find(`colour-${sign}`).value = colours.text[name];
  if (!events) return;
  paintSteps();
  drawCurve();
  drawMoment();
}

async function applyAugmentation() {
  const turn = ++state.turn, drawn = variant();
  const changed = drawn ? await augment(original, drawn.edits, WIDTH) : original;
  if (turn !== state.turn) return; // a later choice was faster
  events = changed;
  if (drawn) {
    const { about, chance } = data.augmentations[state.augmentation];
    find("augmentation-words").textContent = `${about}. Drawn here: ${drawn.words}. ${chance}.`;
  } else find("augmentation-words").textContent = "The events as they were recorded.";
  const whole = !drawn || drawn.region.join() === [0, 0, WIDTH, HEIGHT].join();
  find("region").hidden = whole;
  if (!whole) {
    const [left, top, width, height] = drawn.region, style = find("region").style;
    style.left = `${(100 * left) / WIDTH}%`;
    style.top = `${(100 * top) / HEIGHT}%`;
    style.width = `${(100 * width) / WIDTH}%`;
    style.height = `${(100 * height) / HEIGHT}%`;
  }
  makeSteps();
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
  settled = applyAugmentation();
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

function wireFraming() {
  const how = state.how, sizes = find("size");
  const offered = [...new Set([...SIZES, ...(how.size ? [how.size] : [])])].sort((a, b) => a - b);
  for (const size of offered) sizes.add(new Option(size, size));
  sizes.add(new Option("sensor's", ""));
  sizes.value = how.size || "";
  find("binary").value = how.binary ? "1" : "";
  // The field shows what is used, but for one that is emptied to be typed anew.
  const number = (name, used) => {
    const field = find(name), asked = field.valueAsNumber;
    if (Number.isNaN(asked)) return used;
    const whole = field.step === "any" ? asked : Math.round(asked);
    const value = Math.max(Number(field.min), Math.min(Number(field.max), whole));
    if (value !== asked) field.value = value;
    return value;
  };
  const read = () => {
    const kind = find("kind").value;
    Object.assign(how, {
      n_steps: number("n_steps", how.n_steps), kind, resize: find("resize").value,
      size: Number(sizes.value) || null,
      binary: !REAL_KINDS.includes(kind) && find("binary").value === "1",
      event_count: number("event_count", how.event_count),
      tau_us: number("tau_ms", how.tau_us / 1000) * 1000,
      bits: number("bits", how.bits),
    });
    if (!events) return;
    makeSteps();
    drawCurve();
    drawMoment();
  };
  for (const name of ["n_steps", "kind", "size", "resize", "binary", "event_count", "tau_ms", "bits"]) {
    find(name).addEventListener("input", read);
  }
  for (const [name, used] of [["n_steps", () => how.n_steps], ["event_count", () => how.event_count],
    ["tau_ms", () => how.tau_us / 1000], ["bits", () => how.bits]]) {
    find(name).addEventListener("change", () => { if (!find(name).value) find(name).value = used(); });
  }
  if (how.resize === "none") how.resize = "maxpool"; // the same where sizes agree
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
  data.augmentations.forEach(({ name }, i) => find("augmentation").add(new Option(name, i)));
  find("augmentation").addEventListener("change", (event) => {
    const chosen = event.target.value;
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
  });
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
  original = await unpackEvents(data.events);
  events = original;
  state.time = busiest();
  makeSteps();
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
