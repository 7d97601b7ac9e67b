// Playing with a trained generator.
import { blob, get, upload } from "/static/ask.js";
import { command, field, fill, h, inline, option, save } from "/static/page.js";
import { count, put, short, words } from "/static/words.js";

export function playing(state) {
  let info = null;
  let opened = false;
  let timer = 0;
  let turn = 0;
  const chosen = [];
  const which = h("select", { onchange: () => begin() });
  const status = h("p", { role: "status", class: "small" });
  const seed = h("input", { type: "number", min: "0", max: "9007199254740991", value: "0", oninput: later });
  const amount = h("input", { type: "number", min: "1", max: "100", value: "25", oninput: later });
  const truncation = h("input", { type: "range", min: "0.05", max: "1", step: "0.05", value: "1", oninput: later });
  const truncated = h("output", {}, "1");
  const first = h("select", { onchange: later });
  const second = h("select", { onchange: later });
  const share = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "0", oninput: later });
  const classes = h("div", { class: "row" }, inline(words.class, first), inline(words.second_class, second), inline(words.share, share));
  const pictures = h("div", { class: "pictures" });
  const shown = h("div");
  const form = h("select", {});
  const many = h("input", { type: "number", min: "1", max: "4096", value: "64" });
  const way = h("div", { class: "pictures" });
  const wayCommand = h("div");
  const steps = h("input", { type: "number", min: "2", max: "100", value: "10" });
  const go = h("button", { type: "button", disabled: true, onclick: () => run(between) }, words.interpolate);
  const sum = h("input", { type: "text", value: "1,2 - 3 + 4", spellcheck: "false" });
  const sumField = field(words.sum, sum, words.sum_help);
  const sums = h("div", { class: "pictures" });
  const sumCommand = h("div");
  const near = h("div");
  const nearCount = h("input", { type: "number", min: "1", max: "12", value: "6" });
  const file = h("input", { type: "file", accept: "image/*", onchange: () => run(invert) });
  const fileField = field(words.invert, file, words.invert_help);
  const found = h("div");
  const body = h("div", {},
    h("section", { class: "panel" }, h("h2", {}, words.samples), h("div", { class: "row" }, inline(words.generator, which),
      inline(words.seed, seed), h("button", { type: "button", onclick: () => { seed.value = String(Number(seed.value) + 1); later(); } }, words.next_seed),
      inline(words.how_many, amount), h("label", {}, words.truncation, truncation, truncated)), classes, pictures, shown,
    h("p", { class: "soft small of-images" }, words.choose_two),
    h("div", { class: "row" }, inline(words.download_count, many), inline(words.as, form), h("button", { type: "button", id: "download", onclick: () => run(download) }, words.download))),
    h("section", { class: "panel of-images" }, h("h2", {}, words.interpolation), h("div", { class: "row" }, inline(words.steps, steps), go), way, wayCommand),
    h("section", { class: "panel of-images" }, h("h2", {}, words.arithmetic), sumField, h("div", { class: "row" }, h("button", { type: "button", onclick: () => run(arithmetic) }, words.compute)), sums, sumCommand),
    h("section", { class: "panel" }, h("h2", {}, words.neighbours), h("p", { class: "soft small" }, words.neighbours_help),
      h("div", { class: "row" }, inline(words.how_many, nearCount), h("button", { type: "button", onclick: () => run(nearest) }, words.look_up)), near),
    h("section", { class: "panel of-images" }, h("h2", {}, words.inversion), fileField, found));
  const element = h("div", {}, status, body);
  body.hidden = true;

  const query = (more) => ({ run: state.name, best: which.value === "best.safetensors", seed: seed.value, truncation: truncation.value, shares: shares(), ...more });

  function shares() {
    if (!info?.classes.length || first.value === "") return "";
    const list = info.classes.map(() => 0);
    const part = second.value === "" ? 0 : Number(share.value);
    list[Number(first.value)] += 1 - part;
    if (part) list[Number(second.value)] += part;
    return list.join();
  }

  function later() {
    truncated.textContent = truncation.value;
    share.disabled = second.value === "" || first.value === "";
    second.disabled = first.value === "";
    clearTimeout(timer);
    timer = setTimeout(() => run(samples), 150);
  }

  async function run(work) {
    status.textContent = words.working;
    status.className = "small";
    try {
      await work();
      status.textContent = put(words.after_images, { images: count(info.images) });
    } catch (error) {
      status.className = "error";
      status.textContent = error.message || words.away;
    }
  }

  async function begin() {
    opened = true;
    await run(async () => {
      info = await get("/api/play/info", { run: state.name, best: which.value === "best.safetensors" });
      body.hidden = false;
      classes.hidden = !info.classes.length;
      const list = info.classes.map((name, at) => option(String(at), name));
      fill(first, option("", words.in_turn), list);
      fill(second, option("", "–"), info.mixes ? list.map((each) => each.cloneNode(true)) : []);
      const images = info.kind === "images";
      fill(form, (images ? ["png", "zip", "npy"] : ["png", "npy"]).map((each) => option(each, words.forms[each])));
      for (const each of element.querySelectorAll(".of-images")) each.hidden = !images;
      amount.max = images ? "100" : "4096";
      if (!images && amount.value === "25") amount.value = "1000";
      later();
    });
  }

  async function samples() {
    const now = ++turn;
    const told = await get("/api/play/samples", query({ count: amount.value }));
    if (now !== turn) return;
    chosen.length = 0;
    go.disabled = true;
    pictures.className = told.pictures.length === told.places.length ? "pictures" : "pictures large";
    fill(pictures, told.pictures.map((address, at) => {
      const place = told.pictures.length === told.places.length ? told.places[at] : "";
      const image = h("img", { src: address, alt: put(words.sample_name, { place }) });
      if (!place) return image;
      const button = h("button", { type: "button", "aria-pressed": "false", title: place, onclick: () => choose(button, place) }, image);
      return button;
    }));
    fill(shown, command(told.command, words));
  }

  function choose(button, place) {
    const at = chosen.findIndex((each) => each.place === place);
    if (at >= 0) chosen.splice(at, 1)[0].button.setAttribute("aria-pressed", "false");
    else {
      if (chosen.length === 2) chosen.shift().button.setAttribute("aria-pressed", "false");
      chosen.push({ button, place });
      button.setAttribute("aria-pressed", "true");
    }
    go.disabled = chosen.length !== 2;
    if (chosen.length === 2) run(between);
  }

  async function between() {
    const told = await get("/api/play/between", query({ start: chosen[0].place, end: chosen[1].place, steps: steps.value }));
    show(way, told.pictures);
    fill(wayCommand, command(told.command, words));
  }

  async function arithmetic() {
    sumField.fail("");
    try {
      const told = await get("/api/play/arithmetic", query({ sum: sum.value }));
      show(sums, told.pictures, told.names);
      fill(sumCommand, command(told.command, words));
    } catch (error) {
      sumField.fail(error.message);
      throw error;
    }
  }

  async function nearest() {
    const told = await get("/api/play/nearest", query({ count: nearCount.value }));
    fill(near, told.rows.map((row) => {
      const box = h("div", { class: "pictures" });
      show(box, [row.sample, ...row.neighbours.map((each) => each.picture).filter(Boolean)],
        [words.sample_one, ...row.neighbours.map((each) => `#${each.index} · ${short(each.distance)}${each.copies > 1 ? ` ×${each.copies}` : ""}`)]);
      return box;
    }), h("p", {}, put(words.median_distance, { median: short(told.median), held: told.held_out === null ? "–" : short(told.held_out) })), command(told.command, words));
  }

  async function invert() {
    fileField.fail("");
    if (!file.files.length) return;
    try {
      if (file.files[0].size > 8 * 2 ** 20) throw new Error(words.too_large);
      const told = await upload("/api/play/invert", { run: state.name, best: which.value === "best.safetensors" }, file.files[0]);
      const box = h("div", { class: "pictures" });
      show(box, told.pictures, [words.given, words.found]);
      fill(found, box, h("p", {}, put(words.inverted, { error: short(told.error) }), told.label === null ? "" : ` · ${words.class}: ${told.label}`),
        h("details", {}, h("summary", {}, "z"), h("pre", { tabindex: 0 }, told.latent.join(", "))), command(told.command, words));
    } catch (error) {
      fileField.fail(error.message);
      throw error;
    } finally {
      file.value = "";
    }
  }

  async function download() {
    const suffix = form.value;
    save(await blob("/api/play/download", query({ count: many.value, format: suffix })), `samples-seed-${seed.value}.${suffix}`);
  }

  function show(box, list, names = null) {
    fill(box, list.map((address, at) => {
      const image = h("img", { src: address, alt: names ? names[at] : put(words.sample_name, { place: String(at + 1) }) });
      return names ? h("figure", {}, image, h("figcaption", {}, names[at])) : image;
    }));
  }

  return { element, open() { if (!opened && state.about?.generators.length) begin(); else if (!opened) status.textContent = words.no_generator; opened = opened && Boolean(info); }, update() {
    const files = state.about?.generators || [];
    if (which.dataset.files !== files.join()) {
      which.dataset.files = files.join();
      const before = which.value;
      fill(which, files.map((each) => option(each, each.replace(".safetensors", ""), each === before)));
    }
    if (!info && files.length && element.isConnected && !opened) begin();
  } };
}
