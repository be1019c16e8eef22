// Clips of a set, a row a class; each plays while it is pointed at, or after a tap.

const SPEEDS = [0.1, 0.2, 0.25, 0.33, 0.5, 0.75, 1, 1.5, 2, 4];
const state = { shows: [true, true], speed: SPEEDS.indexOf(0.5), colours: readColours(), all: false };

// A cell's number: 0 nothing, else 1 + 3 (polarity) + (level), see gallery.py.
class Tile {
  constructor(button, clip) {
    Object.assign(this, { button, clip, cells: null, step: clip.busiest, started: null, pointed: false, kept: false });
    const canvas = button.querySelector("canvas");
    canvas.hidden = button.disabled = false; // until here the page was one without scripts
    button.setAttribute("aria-pressed", "false");
    this.context = canvas.getContext("2d");
    this.image = this.context.createImageData(clip.width, clip.height);
    this.line = button.querySelector("i");
    button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") this.point(true); });
    button.addEventListener("pointerleave", () => this.point(false));
    button.addEventListener("focus", () => { if (button.matches(":focus-visible")) this.point(true); });
    button.addEventListener("blur", () => this.point(false));
    button.addEventListener("click", () => this.keep(!this.kept));
  }

  get playing() { return this.pointed || this.kept || state.all; }

  point(on) { this.pointed = on; this.changed(); }

  keep(on) {
    this.kept = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.changed();
  }

  async changed() {
    if (this.playing && this.started === null) {
      this.started = performance.now();
      await this.load();
      wake();
    } else if (!this.playing && this.started !== null) {
      this.started = null;
      this.step = this.clip.busiest;
      this.line.style.transform = "";
      if (this.cells) this.draw();
    }
  }

  async load() {
    if (!this.cells) this.cells = await unpack(this.clip.cells);
  }

  advance(now) {
    const share = (((now - this.started) * SPEEDS[state.speed]) / (this.clip.duration_us / 1000)) % 1;
    const step = Math.floor(share * this.clip.steps);
    this.line.style.transform = `scaleX(${share})`;
    if (step === this.step) return;
    this.step = step;
    this.draw();
  }

  draw() {
    const { width, height } = this.clip, area = width * height, pixels = this.image.data;
    const { rgb } = state.colours, kinds = [rgb.off, rgb.on, rgb.both];
    for (let cell = 0; cell < area; cell++) {
      const number = this.cells[this.step * area + cell];
      const kind = number ? Math.floor((number - 1) / 3) : 2;
      const seen = number && (kind === 2 ? state.shows[0] || state.shows[1] : state.shows[kind]);
      putPixel(pixels, 4 * cell, rgb.ground, kinds[kind], seen ? data.strengths[(number - 1) % 3] : 0);
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

let tiles = [], awake = false;

function wake() {
  if (awake) return;
  awake = true;
  requestAnimationFrame(tick);
}

function tick(now) {
  let any = false;
  for (const tile of tiles) {
    if (tile.started === null) continue;
    any = true;
    if (tile.cells) tile.advance(Math.max(now, tile.started));
  }
  awake = any;
  if (any) requestAnimationFrame(tick);
}

function redraw() {
  state.colours = readColours();
  for (const tile of tiles) if (tile.cells) tile.draw();
}

async function begin() {
  tiles = [...document.querySelectorAll("[data-clip]")].map((button) => new Tile(button, data.clips[button.dataset.clip]));
  for (const list of document.querySelectorAll(".tiles")) {
    list.classList.remove("bare");
    limitWidth(list);
  }
  find("bar").hidden = find("how").hidden = false;
  const setSpeed = (index) => {
    state.speed = index;
    find("speed-words").textContent = `${SPEEDS[index]}×`;
  };
  find("speed").max = SPEEDS.length - 1;
  find("speed").value = state.speed;
  setSpeed(state.speed);
  find("speed").addEventListener("input", (event) => setSpeed(Number(event.target.value)));
  for (const sign of [0, 1]) {
    find(`show-${sign}`).addEventListener("change", (event) => { state.shows[sign] = event.target.checked; redraw(); });
  }
  find("all").addEventListener("click", () => {
    state.all = !state.all;
    find("all").setAttribute("aria-pressed", String(state.all));
    find("all").textContent = state.all ? "Stop all" : "Play all";
    for (const tile of tiles) tile.changed();
  });
  themeButton(redraw);
  // one after another, so that the first rows show at once
  for (const tile of tiles) {
    await tile.load();
    tile.draw();
  }
  document.documentElement.dataset.ready = "yes";
}

window.evferGallery = { state, get tiles() { return tiles; } };

begin().catch((error) => {
  find("fault").textContent = `This page cannot show its clips: ${error.message}`;
  find("fault").hidden = false;
  throw error;
});
