// Steering: edits, going back, forks.
import { command, field, fill, h, inline, option, shell } from "/static/page.js";
import { count, put, words } from "/static/words.js";

export function steering(state, act) {
  const edits = h("div", { class: "fields" });
  const shown = h("div");
  const back = h("select", {});
  const at = h("select", { onchange: () => { at.dataset.own = "yes"; } });
  const name = h("input", { type: "text", maxlength: "200", required: true });
  const nameField = field(words.fork_name, name, words.name_help);
  const changes = h("input", { type: "text", placeholder: "game.r1=10" });
  const changesField = field(words.fork_changes, changes, words.fork_changes_help);
  const forkCommand = h("div");
  const made = h("p", { role: "status" });
  const fields = new Map();
  const apply = h("button", { type: "submit", class: "main" }, words.apply);
  const goBack = h("button", { type: "button", onclick: () => {
    act("/api/ask", { run: state.name, do: "back", to: Number(back.value), settings: changed() }, words.done.back).catch(() => {});
  } }, words.go_back);
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); edit(); } }, edits, h("div", { class: "row" }, apply), shown);
  const forkForm = h("form", { onsubmit: (event) => { event.preventDefault(); fork(); }, oninput: drawFork },
    h("div", { class: "fields" }, nameField, field(words.fork_at, at), changesField),
    h("div", { class: "row" }, h("button", { type: "submit", class: "main", id: "fork" }, words.fork)), forkCommand, made);
  const held = h("section", { class: "panel" }, h("h2", {}, words.edit), h("p", {}, words.reproducible), form,
    h("div", { class: "row" }, inline(words.back_to, back), goBack));
  const idle = h("p", { class: "soft" }, words.not_held);
  const element = h("div", {}, idle, held, h("section", { class: "panel" }, h("h2", {}, words.fork), h("p", {}, words.fork_help), forkForm));

  function changed() {
    const found = {};
    for (const [key, { input, before }] of fields) if (input.value.trim() !== before) found[key] = input.value.trim();
    return found;
  }

  function drawCommand() {
    const given = Object.entries(changed()).map(([key, value]) => `${key}=${value}`);
    apply.disabled = !given.length;
    fill(shown, given.length ? command(shell(["saddle", "edit", state.about.path, ...given]), words) : null);
  }

  async function edit() {
    const settings = changed();
    for (const { box } of fields.values()) box.fail("");
    try {
      await act("/api/ask", { run: state.name, do: "edit", settings }, words.done.edit);
      for (const key of Object.keys(settings)) fields.get(key).before = settings[key];
      drawCommand();
    } catch (error) {
      const named = Object.keys(settings).find((key) => error.message.includes(key)) || Object.keys(settings)[0];
      if (named) {
        fields.get(named).box.fail(error.message);
        fields.get(named).input.focus();
      }
    }
  }

  function parsed() {
    const found = {};
    for (const part of changes.value.split(/\s+(?=[\w.]+=)/).filter((each) => each.trim())) {
      const at_ = part.indexOf("=");
      found[part.slice(0, Math.max(at_, 0)).trim()] = part.slice(at_ + 1).trim();
    }
    return found;
  }

  function drawFork() {
    const sets = Object.entries(parsed()).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    fill(forkCommand, name.value ? command(shell(["saddle", "fork", state.about.path, "--at", at.value, ...sets, "--out", `${state.about.folder}/${name.value}`]), words) : null);
  }

  async function fork() {
    nameField.fail("");
    changesField.fail("");
    fill(made);
    try {
      const told = await act("/api/fork", { run: state.name, out: name.value.trim(), at: Number(at.value), settings: parsed() }, words.done.fork);
      fill(made, h("a", { href: `#/run/${encodeURIComponent(told.name)}` }, put(words.fork_made, { name: told.name, images: count(told.images) })));
    } catch (error) {
      (/=|game|optimizer|set/.test(changes.value) && error.status === 422 && !/called|name/.test(error.message) ? changesField : nameField).fail(error.message);
    }
  }

  function slider(input) {
    const value = Number(input.value);
    if (!(value > 0)) return null;
    const range = h("input", { type: "range", min: "-2", max: "2", step: "0.01", value: "0", "aria-label": words.slider, oninput: () => {
      input.value = String(Number((value * 10 ** Number(range.value)).toPrecision(3)));
      drawCommand();
    } });
    return range;
  }

  return { element, update() {
    const { row, about, readOnly } = state;
    if (!about || !row) return;
    const isHeld = (row.state === "running" || row.state === "paused") && !readOnly;
    held.hidden = !isHeld;
    idle.hidden = isHeld;
    idle.textContent = readOnly ? words.read_only_help : words.not_held;
    forkForm.parentElement.hidden = readOnly;
    for (const each of about.editable) {
      const known = fields.get(each.key);
      if (!known) {
        const input = each.choices.length
          ? h("select", { onchange: drawCommand }, each.choices.map((choice) => option(choice, choice, choice === each.value)))
          : h("input", { type: "text", value: each.value, spellcheck: "false", autocomplete: "off", oninput: drawCommand });
        const box = field(each.key, input, each.choices.length ? each.help : `${each.help} (${each.kind})`,
          each.kind.startsWith("number") ? slider(input) : null);
        fields.set(each.key, { input, box, before: each.value });
        edits.append(box);
      } else if (known.before !== each.value && known.input.value === known.before) {
        known.input.value = known.before = each.value;
      }
    }
    const list = about.checkpoints.map(String);
    if (at.dataset.list !== list.join()) {
      at.dataset.list = list.join();
      const chosen = at.dataset.own ? at.value : "";
      for (const select of [at, back]) fill(select, list.map((each) => option(each, count(Number(each)), each === list.at(-1))));
      if (list.includes(chosen) && chosen) at.value = chosen;
      drawFork();
    }
    goBack.disabled = !list.length;
    drawCommand();
  } };
}
