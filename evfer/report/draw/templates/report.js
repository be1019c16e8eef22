"use strict";
(() => {
  const root = document.documentElement;
  const make = (tag, text, type) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (type) made.className = type;
    if (tag === "button") made.type = "button";
    return made;
  };
  root.classList.add("js");

  // light and dark
  const toggle = document.querySelector(".theme");
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefers.matches);
  const name = () => { toggle.textContent = isDark() ? "Light page" : "Dark page"; };
  toggle.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  prefers.addEventListener("change", name);
  toggle.hidden = false;
  name();

  // on paper nothing is closed; the style sheet says so too, which not every browser follows
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
    opened = [];
  });

  // hover texts: the drawings' own titles, shown at once and on touch too
  const hint = make("div", "", "hint");
  hint.hidden = true;
  hint.setAttribute("role", "tooltip");
  document.body.append(hint);
  for (const mark of document.querySelectorAll("svg .tip")) {
    const title = mark.querySelector("title");
    mark.dataset.tip = title.textContent;
    title.remove();
  }
  const place = (event) => {
    const mark = event.target.closest && event.target.closest("[data-tip]");
    hint.hidden = !mark;
    if (!mark) return;
    hint.textContent = mark.dataset.tip;
    const box = hint.getBoundingClientRect();
    const left = Math.min(Math.max(6, event.clientX - box.width / 2), innerWidth - box.width - 6);
    const above = event.clientY - box.height - 14;
    hint.style.left = left + "px";
    hint.style.top = (above > 4 ? above : event.clientY + 18) + "px";
  };
  document.addEventListener("pointermove", place);
  document.addEventListener("pointerdown", place);
  addEventListener("scroll", () => { hint.hidden = true; }, { passive: true });

  // tables: sort, filter, and rows that only stand in the page as data
  const PAGE = matchMedia("(max-width: 640px)").matches ? 15 : 50;
  const FEW = 8;
  const written = (number) => number.toLocaleString("en");
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  for (const holder of document.querySelectorAll(".table")) {
    const table = holder.querySelector("table");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const titles = heads.map((head) => head.textContent);
    const rows = [...body.rows].map((row) => ({
      row,
      texts: [...row.cells].map((cell) => cell.textContent),
      keys: [...row.cells].map((cell) => (cell.dataset.key === undefined ? null : +cell.dataset.key)),
    }));
    const rest = holder.querySelector("script.rest");
    for (const cells of rest ? JSON.parse(rest.textContent) : []) {
      rows.push({
        row: null,
        texts: cells.map((cell) => (Array.isArray(cell) ? cell[0] : cell)),
        keys: cells.map((cell) => (Array.isArray(cell) ? cell[1] : null)),
      });
    }
    if (rows.length < 2) continue;
    const total = rest ? +rest.dataset.total : rows.length;
    const build = (entry) => {
      const row = make("tr");
      entry.texts.forEach((text, i) => {
        const cell = make(i ? "td" : "th", text, heads[i].className);
        if (i) cell.dataset.name = titles[i];
        else cell.scope = "row";
        row.append(cell);
      });
      return (entry.row = row);
    };
    const state = { column: -1, down: false, shown: PAGE, words: [] };
    const count = make("span");
    const more = make("button", "Show more", "more-button");
    const draw = () => {
      let found = rows;
      if (state.words.length) {
        found = rows.filter((entry) => {
          const text = entry.texts.join(" ").toLowerCase();
          return state.words.every((word) => text.includes(word));
        });
      }
      if (state.column >= 0) {
        const c = state.column;
        const sign = state.down ? -1 : 1;
        const numbers = heads[c].classList.contains("number") && rows.some((entry) => entry.keys[c] !== null);
        found = [...found].sort((a, b) => {
          if (!numbers) return sign * order(a.texts[c], b.texts[c]);
          // what is not known comes last in both directions
          if (a.keys[c] === null || b.keys[c] === null) return (a.keys[c] === null) - (b.keys[c] === null);
          return sign * (a.keys[c] - b.keys[c]);
        });
      }
      body.replaceChildren(...found.slice(0, state.shown).map((entry) => entry.row || build(entry)));
      // of very many rows the last are only in files
      count.textContent = (found.length === total ? "" : written(found.length) + " of ") + written(total) + " rows";
      more.hidden = found.length <= state.shown;
      heads.forEach((head, i) => head.setAttribute("aria-sort", i !== state.column ? "none" : state.down ? "descending" : "ascending"));
    };
    const sort = (column) => {
      const number = heads[column].classList.contains("number");
      state.down = state.column === column ? !state.down : number;
      state.column = column;
      draw();
    };
    heads.forEach((head, i) => {
      const button = make("button", titles[i]);
      button.addEventListener("click", () => sort(i));
      head.replaceChildren(button);
    });
    // what can be read at a glance needs no filter
    const tools = make("div", "", rows.length > FEW ? "tools" : "tools few");
    const filter = make("input");
    filter.type = "search";
    filter.placeholder = "Filter rows";
    filter.setAttribute("aria-label", "Filter rows of " + table.getAttribute("aria-label"));
    filter.addEventListener("input", () => {
      state.words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      state.shown = PAGE;
      draw();
    });
    const choice = make("select");
    choice.setAttribute("aria-label", "Sort by");
    choice.append(new Option("Sort by", ""));
    titles.forEach((title, i) => choice.append(new Option(title, i)));
    choice.addEventListener("change", () => { if (choice.value !== "") sort(+choice.value); choice.value = ""; });
    tools.append(filter, choice, count);
    more.addEventListener("click", () => { state.shown += PAGE; draw(); });
    holder.prepend(tools);
    holder.append(more);
    draw();
  }

  // films of clips: strips of steps, moved by the position that they are shown from
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const players = [...document.querySelectorAll(".player")].map((card) => {
    const [button, slider, speed] = card.querySelectorAll(".controls > *");
    const player = {
      card,
      steps: +slider.max + 1,
      seconds: Math.max(+card.dataset.seconds, 0.1),
      at: +slider.value,
      playing: !still,
      speed: () => +speed.value,
      show() {
        const step = Math.floor(player.at) % player.steps;
        card.style.setProperty("--step", step);
        slider.value = step;
        button.textContent = player.playing ? "Pause" : "Play";
      },
    };
    button.addEventListener("click", () => { player.playing = !player.playing; player.show(); });
    slider.addEventListener("input", () => { player.playing = false; player.at = +slider.value; player.show(); });
    player.show();
    return player;
  });
  let before = null;
  const tick = (now) => {
    const passed = before === null ? 0 : Math.min(now - before, 200) / 1000;
    before = now;
    for (const player of players) {
      if (!player.playing) continue;
      const next = player.at + (passed * player.speed() * player.steps) / player.seconds;
      const moved = Math.floor(next) !== Math.floor(player.at);
      player.at = next % player.steps;
      if (moved) player.show();
    }
    requestAnimationFrame(tick);
  };
  if (players.length) requestAnimationFrame(tick);
})();
