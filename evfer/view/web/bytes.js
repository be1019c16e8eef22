// Packed numbers back to typed arrays; the other half of packing.py.

function fromBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// The browser's own inflate where it has one, else ours, which takes about three times as long.
async function inflate(bytes) {
  if (typeof DecompressionStream !== "function") return inflateHere(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83,
  99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5,
  5, 0];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

// Zlib data (RFC 1950) of deflate blocks (RFC 1951).
function inflateHere(input) {
  let at = 2, hold = 0, held = 0; // two bytes of zlib's head
  let out = new Uint8Array(Math.max(1024, input.length * 4)), size = 0;
  const take = (count) => {
    while (held < count) {
      if (at >= input.length) throw new Error("packed data cut short");
      hold |= input[at++] << held;
      held += 8;
    }
    const bits = hold & ((1 << count) - 1);
    hold >>>= count;
    held -= count;
    return bits;
  };
  const room = (count) => {
    if (size + count <= out.length) return;
    const larger = new Uint8Array(Math.max(2 * out.length, size + count));
    larger.set(out);
    out = larger;
  };
  // a code as the number of words of each length, and the symbols in the words' order
  const code = (lengths) => {
    const counts = new Uint16Array(16), offsets = new Uint16Array(16);
    for (const length of lengths) counts[length]++;
    counts[0] = 0;
    for (let i = 1; i < 16; i++) offsets[i] = offsets[i - 1] + counts[i - 1];
    const symbols = new Uint16Array(lengths.length);
    lengths.forEach((length, symbol) => { if (length) symbols[offsets[length]++] = symbol; });
    return { counts, symbols };
  };
  const read = ({ counts, symbols }) => {
    let word = 0, first = 0, index = 0;
    for (let length = 1; length < 16; length++) {
      word |= take(1);
      const count = counts[length];
      if (word - count < first) return symbols[index + (word - first)];
      index += count;
      first = (first + count) << 1;
      word <<= 1;
    }
    throw new Error("packed data is damaged");
  };
  const dynamic = () => {
    const nLengths = take(5) + 257, nDistances = take(5) + 1, nCodes = take(4) + 4;
    const short = new Array(19).fill(0);
    for (let i = 0; i < nCodes; i++) short[CODE_ORDER[i]] = take(3);
    const words = code(short), lengths = [];
    while (lengths.length < nLengths + nDistances) {
      const symbol = read(words);
      if (symbol < 16) { lengths.push(symbol); continue; }
      const value = symbol === 16 ? lengths[lengths.length - 1] : 0;
      const times = symbol === 16 ? 3 + take(2) : symbol === 17 ? 3 + take(3) : 11 + take(7);
      for (let i = 0; i < times; i++) lengths.push(value);
    }
    return [code(lengths.slice(0, nLengths)), code(lengths.slice(nLengths))];
  };
  const fixed = () => {
    const lengths = [];
    for (let i = 0; i < 288; i++) lengths.push(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
    return [code(lengths), code(new Array(30).fill(5))];
  };
  for (let last = 0; !last;) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) {
      hold = held = 0;
      const length = input[at] | (input[at + 1] << 8);
      at += 4;
      room(length);
      out.set(input.subarray(at, at + length), size);
      at += length;
      size += length;
      continue;
    }
    const [lengths, distances] = kind === 1 ? fixed() : dynamic();
    for (;;) {
      const symbol = read(lengths);
      if (symbol === 256) break;
      if (symbol < 256) { room(1); out[size++] = symbol; continue; }
      const length = LENGTH_BASE[symbol - 257] + take(LENGTH_EXTRA[symbol - 257]);
      const far = read(distances), extra = far < 4 ? 0 : (far >> 1) - 1;
      const distance = (far < 4 ? far : (2 + (far & 1)) << extra) + 1 + take(extra);
      room(length);
      for (let i = 0; i < length; i++, size++) out[size] = out[size - distance];
    }
  }
  return out.subarray(0, size);
}

async function unpack(packed) {
  const bytes = await inflate(fromBase64(packed.data)), n = packed.n;
  if (packed.bits) {
    const mask = new Uint8Array(n);
    for (let i = 0; i < n; i++) mask[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
    return mask;
  }
  const Kind = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[packed.bytes];
  const values = packed.steps ? new Float64Array(n) : new Kind(n);
  for (let i = 0; i < n; i++) {
    let value = 0;
    for (let plane = packed.bytes - 1; plane >= 0; plane--) value = value * 256 + bytes[plane * n + i];
    values[i] = packed.steps && i ? values[i - 1] + value : value;
  }
  return packed.float ? new Float32Array(Uint32Array.from(values).buffer) : values;
}

async function unpackEvents(packed) {
  const [x, y, p, t] = await Promise.all(["x", "y", "p", "t"].map((name) => unpack(packed[name])));
  return { n: t.length, x, y, p, t };
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
