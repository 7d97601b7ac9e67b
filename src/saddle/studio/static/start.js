// The form that starts a run: made of the settings that saddle has, and checked by saddle.
import { get, post } from "/static/ask.js";
import { command, field, fill, h, option, shell } from "/static/page.js";
import { put, words } from "/static/words.js";

// Shown above the others.
const first = ["images", "epochs", "seed", "batch_size", "generator.optimizer.learning_rate", "discriminator.optimizer.learning_rate", "game.loss", "game.r1", "evaluate.every"];

export function startView({ main, tell, repeat, place }) {
  let recipes = [];
  let folder = "runs";
  let timer = 0;
  let stop = () => {};
  const given = new Map();
  const fields = new Map();
  const recipe = h("select", { required: true, onchange: () => choose() });
  const summary = h("p", { class: "soft small" });
  const name = h("input", { type: "text", required: true, maxlength: "200" });
  const nameField = field(words.run_name, name, words.name_help);
  const data = h("input", { type: "text", placeholder: "digits", oninput: () => set("data.source", data.value) });
  const dataField = field(words.data, data, words.data_help);
  const main_ = h("div", { class: "fields" });
  const rest = h("div");
  const search = h("input", { type: "search", "aria-label": words.filter_settings, placeholder: words.filter_settings, oninput: hide });
  const others = h("div", { role: "alert", class: "error" });
  const shown = h("div");
  const button = h("button", { type: "submit", class: "main" }, words.start);
  const output = h("div", { role: "status" });
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); start(); }, novalidate: true },
    h("div", { class: "fields" }, field(words.recipe, recipe, "", summary), nameField, dataField), h("h2", {}, words.settings), main_,
    h("details", {}, h("summary", {}, words.all_settings), h("div", { class: "row" }, search), rest), others,
    h("div", { class: "row" }, button), shown, output);
  fill(main, h("h1", {}, words.start_run), form);

  function set(key, text) {
    if (text.trim() === "" || text === fields.get(key)?.before) given.delete(key);
    else given.set(key, text.trim());
    drawCommand();
    clearTimeout(timer);
    timer = setTimeout(() => check().catch(tell), 350);
  }

  function drawCommand() {
    const words_ = ["saddle", "train", recipe.value];
    for (const [key, value] of given) {
      if (key === "data.source") words_.push("--data", value);
      else words_.push("--set", `${key}=${value}`);
    }
    fill(shown, command(shell([...words_, "--out", `${folder}/${name.value || "…"}`]), words));
  }

  async function choose() {
    given.clear();
    fields.clear();
    data.value = "";
    const chosen = recipes.find((each) => each.name === recipe.value);
    summary.textContent = [chosen.summary, chosen.expected].filter(Boolean).join(" · ");
    fill(main_);
    fill(rest);
    await check();
    drawCommand();
  }

  async function check() {
    const asked = JSON.stringify([...given]);
    const told = await post("/api/form", { recipe: recipe.value, settings: Object.fromEntries(given) });
    if (told.recipe !== recipe.value || asked !== JSON.stringify([...given])) return true;
    const sections = new Map();
    for (const each of told.settings) {
      if (each.key === "data.source") {
        data.placeholder = each.value || words.needed;
        fields.set(each.key, { box: dataField, input: data, before: "" });
        continue;
      }
      if (!fields.has(each.key)) fields.set(each.key, make(each));
      const known = fields.get(each.key);
      if (!given.has(each.key) && document.activeElement !== known.input) known.input.value = known.before = each.value;
      if (!first.includes(each.key)) sections.set(each.section, [...(sections.get(each.section) || []), [each, known]]);
    }
    const present = new Set(told.settings.map((each) => each.key));
    const top = first.filter((key) => present.has(key)).map((key) => fields.get(key).box);
    if (top.some((box, at) => main_.children[at] !== box) || top.length !== main_.children.length) fill(main_, top);
    const plan = told.settings.map((each) => each.key).join();
    if (plan !== rest.dataset.plan) {
      rest.dataset.plan = plan;
      const open = new Set([...rest.querySelectorAll("details[open]")].map((each) => each.dataset.name));
      fill(rest, [...sections].map(([section, list]) => h("details", { "data-name": section, open: open.has(section) },
        h("summary", {}, section || words.the_run), h("p", { class: "soft small" }, list[0][0].about),
        h("div", { class: "fields" }, list.map(([, known]) => known.box)))));
    }
    for (const [key, { box }] of fields) box.fail(told.errors[key] || "");
    const lost = Object.keys(told.errors).filter((key) => !fields.has(key)).map((key) => `${key}: ${told.errors[key]}`);
    others.textContent = [...told.others, ...lost].join(" · ");
    return !Object.keys(told.errors).length && !told.others.length;
  }

  function make(each) {
    const input = each.choices.length
      ? h("select", { onchange: () => set(each.key, input.value) }, each.choices.map((choice) => option(choice, choice, choice === each.value)))
      : h("input", { type: "text", value: each.value, spellcheck: "false", autocomplete: "off", oninput: () => set(each.key, input.value) });
    return { input, before: each.value, box: field(each.key, input, each.choices.length ? each.help : `${each.help} (${each.kind})`) };
  }

  function hide() {
    const wanted = search.value.toLowerCase();
    for (const section of rest.children) {
      let some = false;
      for (const box of section.querySelectorAll(".field")) {
        box.hidden = Boolean(wanted) && !box.textContent.toLowerCase().includes(wanted);
        some = some || !box.hidden;
      }
      section.hidden = !some;
      if (wanted) section.open = some;
    }
  }

  async function start() {
    nameField.fail("");
    fill(output);
    if (!name.value.trim()) {
      nameField.fail(words.name_needed);
      name.focus();
      return;
    }
    button.disabled = true;
    try {
      clearTimeout(timer);
      if (!await check()) {
        const wrong = form.querySelector("[aria-invalid=true]");
        const closed = wrong?.closest("details");
        if (closed) closed.open = true;
        wrong?.focus();
        return;
      }
      const told = await post("/api/start", { recipe: recipe.value, out: name.value.trim(), settings: Object.fromEntries(given) });
      watch(told.name);
    } catch (error) {
      if (error.status === 422 || error.status === 409) nameField.fail(error.message);
      else tell(error);
    } finally {
      button.disabled = false;
    }
  }

  function watch(run) {
    stop();
    stop = repeat(async () => {
      const told = await get("/api/started", { run });
      fill(output, h("p", {}, put(words.starting, { name: run })), h("pre", { tabindex: 0 }, told.output.join("\n")));
      if (told.there) location.hash = `#/run/${encodeURIComponent(run)}`;
      else if (told.ended !== null) {
        stop();
        fill(output, h("p", { class: "error", role: "alert" }, words.start_failed), h("pre", { tabindex: 0 }, told.output.join("\n")));
      }
    }, 0.5);
  }

  name.addEventListener("input", drawCommand);
  const load = repeat(async () => {
    if (recipes.length) return;
    const [told, list] = await Promise.all([get("/api/recipes"), get("/api/runs")]);
    folder = list.folder;
    place(list.folder + (list.read_only ? ` · ${words.read_only}` : ""));
    if (list.read_only) {
      button.disabled = true;
      others.textContent = words.read_only_help;
    }
    recipes = told.recipes;
    fill(recipe, recipes.map((each) => option(each.name, each.name, each.name === "digits")));
    await choose();
  }, 3);
  return () => { clearTimeout(timer); load(); stop(); };
}
