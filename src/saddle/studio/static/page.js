// Building the page: every text goes through textContent, so that a name can never become markup.

/** An element: attributes (functions are listeners), then children; null and false are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  fill(element, ...children);
  return element;
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

let number = 0;

/** A label with its field below it, a help text and a place for what is wrong. */
export function field(title, input, help = "", extra = null) {
  const id = `f${++number}`;
  input.id = id;
  const error = h("div", { class: "error", id: `${id}e`, role: "alert" });
  const about = h("div", { class: "help", id: `${id}h` }, help);
  input.setAttribute("aria-describedby", `${id}h ${id}e`);
  const element = h("div", { class: "field" }, h("label", { for: id }, title), input, extra, about, error);
  element.input = input;
  element.fail = (text) => {
    error.textContent = text || "";
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return element;
}

/** A label beside a small field. */
export function inline(title, input) {
  return h("label", {}, title, input);
}

export function option(value, text = value, selected = false) {
  const element = h("option", {}, text);
  element.value = value;
  element.selected = selected;
  return element;
}

/** Tabs that arrow keys walk through; `tabs` are [name, title, make], made when first shown. */
export function tabs(label, list, chosen, changed) {
  const panel = h("div", { role: "tabpanel", id: "panel", tabindex: "0" });
  const buttons = list.map(([name, title]) =>
    h("button", { role: "tab", type: "button", id: `tab-${name}`, "aria-controls": "panel", onclick: () => show(name) }, title));
  const made = new Map();
  function show(name, focus = false) {
    list.forEach(([each], at) => {
      buttons[at].setAttribute("aria-selected", String(each === name));
      buttons[at].tabIndex = each === name ? 0 : -1;
      if (each === name && focus) buttons[at].focus();
    });
    if (!made.has(name)) made.set(name, list.find(([each]) => each === name)[2]());
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    fill(panel, made.get(name));
    changed(name);
  }
  const bar = h("div", { role: "tablist", "aria-label": label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = list.findIndex(([name]) => name === bar.current);
    show(list[(at + step + list.length) % list.length][0], true);
  } }, buttons);
  const inner = changed;
  changed = (name) => { bar.current = name; inner(name); };
  show(list.some(([name]) => name === chosen) ? chosen : list[0][0]);
  return [bar, panel];
}

/** A command that does the same, and a button that copies it. */
export function command(text, words) {
  if (!text) return h("p", { class: "soft small" }, words.no_command);
  const button = h("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = words.copied;
    } catch {
      button.textContent = words.not_copied;
    }
  } }, words.copy);
  return h("div", { class: "command" }, h("code", {}, text), button);
}

/** Save bytes as a file. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** Words of a shell that need no quotes stay as they are. */
export function shell(words) {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`)).join(" ");
}
