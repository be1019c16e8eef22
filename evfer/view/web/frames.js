// Events to frames, step by step as evfer.frames does it; the tests compare the two.

const REAL_KINDS = ["voxel_grid", "time_surface", "decay", "binary_code"];
const TIME_KINDS = ["time_bins", "time_surface", "decay", "binary_code"];

function timeEdges(events, steps, edge) {
  const edges = new Array(steps + 1).fill(0);
  if (!events.n) return edges;
  const start = events.t[0], last = events.t[events.n - 1];
  if (edge === "tonic") {
    const length = Math.floor((last - start) / steps);
    return edges.map((_, k) => start + k * length);
  }
  return edges.map((_, k) => start + Math.ceil((k * (last - start + 1)) / steps));
}

// Index ranges, one a step (or one a digit of a code).
function stepBounds(events, how) {
  let edges;
  if (how.kind === "voxel_grid") return [[0, events.n]];
  if (TIME_KINDS.includes(how.kind)) {
    const parts = how.kind === "binary_code" ? how.bits : 1;
    edges = timeEdges(events, how.n_steps * parts, how.edge).map((t) => search(events.t, t, events.n));
  } else {
    let size = how.event_count, steps = how.n_steps, skipped = 0;
    const whole = Math.floor(events.n / size);
    if (how.kind === "count") steps = whole;
    else if (how.kind === "count_or_bins" && whole >= steps) skipped = Math.floor((whole - steps) / 2);
    else size = Math.floor(events.n / steps);
    edges = Array.from({ length: steps + 1 }, (_, k) => (skipped + k) * size);
  }
  return edges.slice(1).map((end, k) => [edges[k], end]);
}

// The cells that each pixel of an axis reaches: first, and the one after the last.
function axisCells(limit, start, length, size, resize) {
  return Array.from({ length: limit }, (_, pixel) => {
    const place = pixel - start;
    if (place < 0 || place >= length) return [0, 0];
    if (length === size) return [place, place + 1];
    const low = Math.floor((place * size) / length);
    if (resize === "event") return [low, low + 1];
    const high = Math.ceil(((place + 1) * size) / length);
    return resize === "nearest" ? [Math.ceil((place * size) / length), high] : [low, high];
  });
}

// Frames of float32: {steps, height, width, data}, data in the order step, polarity, row, column.
function makeFrames(events, sensor, how, region) {
  const real = REAL_KINDS.includes(how.kind), binary = how.binary && !real;
  const [left, top, wide, tall] = region || [0, 0, sensor[0], sensor[1]];
  const pooled = !binary && how.size && how.resize !== "event";
  const width = how.size && !pooled ? how.size : wide, height = how.size && !pooled ? how.size : tall;
  const columns = axisCells(sensor[0], left, wide, width, how.resize);
  const rows = axisCells(sensor[1], top, tall, height, how.resize);
  const bounds = stepBounds(events, how);
  const steps = how.kind === "count" ? bounds.length : how.n_steps;
  const area = width * height, data = new Float32Array(2 * steps * area);
  if (real) fillReal(data, events, how, bounds, columns, rows, width, area);
  else {
    bounds.forEach(([begin, end], step) => {
      for (let i = begin; i < end; i++) {
        const [c0, c1] = columns[events.x[i]], [r0, r1] = rows[events.y[i]];
        const base = (2 * step + events.p[i]) * area;
        for (let row = r0; row < r1; row++) {
          for (let column = c0; column < c1; column++) {
            const cell = base + row * width + column;
            data[cell] = binary ? 1 : data[cell] + 1;
          }
        }
      }
    });
  }
  const frames = { steps, height, width, data, bounds, real };
  return pooled ? pool(frames, how.size, how.resize) : frames;
}

function fillReal(data, events, how, bounds, columns, rows, width, area) {
  const cellOf = (i) => {
    const [c0, c1] = columns[events.x[i]], [r0, r1] = rows[events.y[i]];
    return c0 === c1 || r0 === r1 ? -1 : events.p[i] * area + r0 * width + c0;
  };
  if (!events.n) return;
  if (how.kind === "voxel_grid") {
    const start = events.t[0], span = events.t[events.n - 1] - start;
    const scale = span ? (how.n_steps - (how.edge === "exact" ? 1 : 0)) / span : 0;
    for (let i = 0; i < events.n; i++) {
      const cell = cellOf(i);
      if (cell < 0) continue;
      const place = (events.t[i] - start) * scale, step = Math.floor(place), late = place - step;
      if (step < how.n_steps) data[2 * step * area + cell] += 1 - late;
      if (step + 1 < how.n_steps) data[2 * (step + 1) * area + cell] += late;
    }
  } else if (how.kind === "binary_code") {
    const unit = 1 / (2 ** how.bits - 1), seen = new Uint32Array(2 * area);
    bounds.forEach(([begin, end], part) => {
      const step = Math.floor(part / how.bits), value = unit * 2 ** (how.bits - 1 - (part % how.bits));
      for (let i = begin; i < end; i++) {
        const cell = cellOf(i);
        if (cell < 0 || seen[cell] === part + 1) continue;
        seen[cell] = part + 1;
        data[2 * step * area + cell] += value;
      }
    });
  } else {
    const ends = timeEdges(events, how.n_steps, how.edge).slice(1);
    bounds.forEach(([begin, end], step) => {
      const base = 2 * step * area;
      if (step) {
        const fade = Math.exp(-(ends[step] - ends[step - 1]) / how.tau_us);
        for (let cell = 0; cell < 2 * area; cell++) data[base + cell] = data[base - 2 * area + cell] * fade;
      }
      for (let i = begin; i < end; i++) {
        const cell = cellOf(i);
        if (cell < 0) continue;
        const value = Math.exp(-(ends[step] - events.t[i]) / how.tau_us);
        data[base + cell] = how.kind === "time_surface" ? value : data[base + cell] + value;
      }
    });
  }
}

// Values that stand already, to size x size cells: each cell's largest pixel, or one pixel of it.
function pool(frames, size, resize) {
  const { steps, height, width } = frames;
  const data = new Float32Array(2 * steps * size * size);
  const range = (cell, length) => {
    const low = Math.floor((cell * length) / size);
    return [low, resize === "nearest" || length === size ? low + 1 : Math.ceil(((cell + 1) * length) / size)];
  };
  for (let plane = 0; plane < 2 * steps; plane++) {
    for (let row = 0; row < size; row++) {
      const [r0, r1] = range(row, height);
      for (let column = 0; column < size; column++) {
        const [c0, c1] = range(column, width);
        let most = 0;
        for (let r = r0; r < r1; r++) {
          for (let c = c0; c < c1; c++) most = Math.max(most, frames.data[(plane * height + r) * width + c]);
        }
        data[(plane * size + row) * size + column] = most;
      }
    }
  }
  return { ...frames, height: size, width: size, data };
}

// One half of every frame, flipped, over the other half.
function mirrorFrames(frames, side) {
  const { width } = frames, half = Math.floor(width / 2), data = frames.data.slice();
  for (let start = 0; start < data.length; start += width) {
    for (let i = 0; i < half; i++) {
      const left = start + i, right = start + width - 1 - i;
      if (side === "left") data[right] = data[left]; else data[left] = data[right];
    }
  }
  return { ...frames, data };
}
