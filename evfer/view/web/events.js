// Edits of events, drawn by evfer beforehand (variants.py) and done here; all on whole numbers,
// so that the page shows the very events that training would get.

const EDITS = {
  flip: (events, edit, width) => ({ ...events, x: events.x.map((x) => width - 1 - x) }),

  reverse: (events, edit) => {
    const last = events.t[events.n - 1];
    const back = (column) => column.slice().reverse();
    const p = back(events.p);
    return {
      n: events.n, x: back(events.x), y: back(events.y),
      p: edit.invert ? p.map((sign) => 1 - sign) : p,
      t: back(events.t).map((t) => last - t),
    };
  },

  swap: (events, edit) => ({
    ...events, p: events.p.map((sign, i) => (!edit.mask || edit.mask[i] ? 1 - sign : sign)),
  }),

  // each new event comes after the old ones of its own instant
  insert: (events, edit) => {
    const more = edit.events, n = events.n + more.n;
    const found = blank(n);
    for (let i = 0, old = 0, fresh = 0; i < n; i++) {
      const takeOld = fresh >= more.n || (old < events.n && events.t[old] <= more.t[fresh]);
      copy(found, i, takeOld ? events : more, takeOld ? old++ : fresh++);
    }
    return found;
  },

  drop: (events, edit) => keep(events, (i) => !edit.mask[i]),
  span: (events, edit) => keep(events, (i) => events.t[i] < edit.start || events.t[i] > edit.end),
  box: (events, edit) => keep(events, (i) => !(
    events.x[i] >= edit.left && events.x[i] < edit.right &&
    events.y[i] >= edit.top && events.y[i] < edit.bottom)),

  // the events of one side, each followed by its copy on the other
  mirror: (events, edit, width) => {
    const found = blank(2 * events.n);
    let n = 0;
    for (let i = 0; i < events.n; i++) {
      const distance = edit.side * (2 * events.x[i] - edit.twice);
      if (distance < 0) continue;
      copy(found, n++, events, i);
      const other = edit.twice - events.x[i];
      if (distance === 0 || other < 0 || other >= width) continue;
      copy(found, n, events, i);
      found.x[n++] = other;
    }
    return first(found, n);
  },

  replace: (events, edit) => edit.events,
};

function blank(n) {
  return { n, x: new Uint16Array(n), y: new Uint16Array(n), p: new Uint8Array(n), t: new Float64Array(n) };
}

function copy(to, i, from, j) {
  to.x[i] = from.x[j];
  to.y[i] = from.y[j];
  to.p[i] = from.p[j];
  to.t[i] = from.t[j];
}

function first({ x, y, p, t }, n) {
  return { n, x: x.subarray(0, n), y: y.subarray(0, n), p: p.subarray(0, n), t: t.subarray(0, n) };
}

function keep(events, wanted) {
  const found = blank(events.n);
  let n = 0;
  for (let i = 0; i < events.n; i++) if (wanted(i)) copy(found, n++, events, i);
  return first(found, n);
}

async function augment(events, edits, width) {
  for (const edit of edits) {
    const ready = { ...edit };
    if (edit.mask) ready.mask = await unpack(edit.mask);
    if (edit.events) ready.events = await unpackEvents(edit.events);
    events = EDITS[edit.do](events, ready, width);
  }
  return events;
}

// Index of the first event at or after a time.
function search(t, time, n) {
  let low = 0, high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (t[middle] < time) low = middle + 1; else high = middle;
  }
  return low;
}
