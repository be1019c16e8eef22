// What every page of evfer view has: theme, words for numbers, elements by name.

const find = (name) => document.getElementById(name);
const data = JSON.parse(find("data").textContent);

function shortNumber(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(0);
}

// auto follows the system; the button goes round
function themeButton(onChange) {
  const button = find("theme"), root = document.documentElement;
  const names = ["auto", "light", "dark"];
  let at = 0;
  button.hidden = false;
  const show = () => {
    if (names[at] === "auto") delete root.dataset.theme; else root.dataset.theme = names[at];
    button.textContent = `Theme: ${names[at]}`;
  };
  show();
  button.addEventListener("click", () => {
    at = (at + 1) % names.length;
    show();
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}

// A few pictures in a grid do not grow over the whole page.
function limitWidth(list) {
  list.style.maxWidth = `${Math.max(2, list.children.length) * 240 - 10}px`;
}
