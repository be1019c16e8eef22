// Events as pictures, in the page's colours; the same formula as evfer.pictures.

const FIRST_EVENT = 0.7;
const STRENGTH = Array.from({ length: 24 }, (_, n) => 1 - (1 - FIRST_EVENT) ** n);

function parseColour(text) {
  const hex = text.trim().replace("#", "");
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

// The page's colours, as numbers; `own` holds those that the reader chose.
function readColours(own = {}) {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => own[name] || style.getPropertyValue(`--${name}`).trim();
  const names = ["on", "off", "ground", "page", "ink", "faint"];
  const text = Object.fromEntries(names.map((name) => [name, read(name)]));
  const rgb = Object.fromEntries(names.map((name) => [name, parseColour(text[name])]));
  rgb.both = rgb.on.map((value, i) => (value + rgb.off[i]) / 2);
  return { text, rgb };
}

function putPixel(pixels, at, ground, colour, strength) {
  for (let i = 0; i < 3; i++) pixels[at + i] = Math.round(ground[i] + strength * (colour[i] - ground[i]));
  pixels[at + 3] = 255;
}

function pickColour(rgb, on, off) {
  return on > off ? rgb.on : off > on ? rgb.off : rgb.both;
}

// Counted events of each pixel, painted.
class EventPainter {
  constructor(canvas, width, height) {
    canvas.width = width;
    canvas.height = height;
    this.context = canvas.getContext("2d");
    this.image = this.context.createImageData(width, height);
    this.words = new Uint32Array(this.image.data.buffer); // a pixel each
    this.counts = [new Uint16Array(width * height), new Uint16Array(width * height)];
    this.width = width;
  }

  paint(events, begin, end, shows, rgb) {
    const [off, on] = this.counts, [ground, table] = this.table(rgb);
    off.fill(0);
    on.fill(0);
    this.words.fill(ground);
    let shown = 0;
    for (let i = begin; i < end; i++) {
      const sign = events.p[i];
      if (!shows[sign]) continue;
      this.counts[sign][events.y[i] * this.width + events.x[i]]++;
      shown++;
    }
    for (let i = begin; i < end; i++) {
      if (!shows[events.p[i]]) continue;
      const cell = events.y[i] * this.width + events.x[i], more = on[cell] - off[cell];
      const total = Math.min(on[cell] + off[cell], STRENGTH.length - 1);
      this.words[cell] = table[more > 0 ? 1 : more < 0 ? 0 : 2][total];
    }
    this.context.putImageData(this.image, 0, 0);
    return shown;
  }

  // pixels of no event, and of OFF, ON and both by the number of events
  table(rgb) {
    if (this.made !== rgb) {
      const bytes = new Uint8ClampedArray(4), word = new Uint32Array(bytes.buffer);
      const mix = (colour, strength) => {
        putPixel(bytes, 0, rgb.ground, colour, strength);
        return word[0];
      };
      const kinds = [rgb.off, rgb.on, rgb.both];
      this.tables = [mix(rgb.ground, 1), kinds.map((colour) => STRENGTH.map((share) => mix(colour, share)))];
      this.made = rgb;
    }
    return this.tables;
  }
}

// One step of the network's frames.
function paintStep(canvas, frames, step, shows, rgb, highest) {
  const { width, height, data, real } = frames, area = width * height;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const base = 2 * step * area;
  for (let cell = 0; cell < area; cell++) {
    const off = shows[0] ? data[base + cell] : 0, on = shows[1] ? data[base + area + cell] : 0;
    const value = real ? Math.sqrt(Math.max(on, off) / highest) : STRENGTH[Math.min(Math.round(on + off), 23)];
    // ones and zeros at full strength, as the network sees no shades
    const strength = !real && highest === 1 ? Math.min(1, on + off) : value;
    putPixel(image.data, 4 * cell, rgb.ground, pickColour(rgb, on, off), strength);
  }
  context.putImageData(image, 0, 0);
}

// Events a second, ON upwards and OFF downwards.
function drawRates(canvas, events, duration, shows, text, marks) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const nBins = Math.max(20, Math.min(240, Math.floor(width / 3)));
  const rates = [new Uint32Array(nBins), new Uint32Array(nBins)];
  for (let i = 0; i < events.n; i++) {
    rates[events.p[i]][Math.min(nBins - 1, Math.floor((events.t[i] * nBins) / duration))]++;
  }
  let highest = 1;
  for (const sign of [0, 1]) if (shows[sign]) for (const rate of rates[sign]) highest = Math.max(highest, rate);
  context.clearRect(0, 0, width, height);
  context.fillStyle = text.faint;
  for (const mark of marks) {
    for (let y = 0; y < height; y += 6 * ratio) context.fillRect(Math.round((mark / duration) * width), y, ratio, 3 * ratio);
  }
  const middle = height / 2, gap = width / nBins >= 4 ? 1 : 0;
  for (const sign of [0, 1]) {
    if (!shows[sign]) continue;
    context.fillStyle = sign ? text.on : text.off;
    rates[sign].forEach((rate, i) => {
      const x0 = Math.round((i * width) / nBins), x1 = Math.round(((i + 1) * width) / nBins);
      const tall = (rate / highest) * (middle - 2);
      context.fillRect(x0, sign ? middle - tall : middle, Math.max(1, x1 - x0 - gap), tall);
    });
  }
  context.fillStyle = text.faint;
  context.fillRect(0, Math.round(middle), width, Math.max(1, Math.round(ratio / 2)));
  return (highest * nBins * 1e6) / duration;
}
