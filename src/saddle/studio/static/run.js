// The page of one run: its samples through time, curves, health, and tabs to steer it and to play with it.
import { get, picture, post } from "/static/ask.js";
import { command, fill, h, shell, tabs } from "/static/page.js";
import { Curves } from "/static/curves.js";
import { steering } from "/static/steer.js";
import { playing } from "/static/play.js";
import { advice, count, duration, percent, put, short, verdictWords, words } from "/static/words.js";

export function runView({ main, repeat, tell, place }, name, tab) {
  const curves = new Curves(name);
  const plane = landscape(name);
  const samples = scrubber(name);
  const state = { row: null, about: null, readOnly: false, name };
  const head = h("div", { class: "row" });
  const buttons = h("div", { class: "row", role: "group", "aria-label": words.steering });
  const said = h("p", { role: "status", class: "small" });
  const health = h("section", { class: "panel", "aria-label": words.health });
  const marks = h("section", { class: "panel", "aria-label": words.marks });
  const about = h("div");
  const steer = steering(state, act);
  const play = playing(state);

  let asked = ""; // the state that the run has because of what was asked here
  async function act(path, body, done) {
    said.className = "small";
    said.textContent = words.asked;
    try {
      const told = await post(path, body);
      asked = { pause: "paused", resume: "running", stop: "stopped" }[body.do];
      said.textContent = "met" in told && !told.met ? words.asked_later : done;
      await refresh();
      return told;
    } catch (error) {
      said.className = "error";
      said.textContent = error.message;
      throw error;
    }
  }

  const ask = (act_, title, kind = "") => h("button", { type: "button", class: kind, onclick: () => {
    act("/api/ask", { run: name, do: act_ }, words.done[act_]).catch(() => {});
  } }, title);

  fill(main, h("h1", {}, name), head, buttons, said,
    ...tabs(words.parts, [
      ["watch", words.watch, () => h("div", {}, samples.element, plane.element, health, h("h2", {}, words.curves), curves.element, marks)],
      ["steer", words.steer, () => steer.element],
      ["play", words.play, () => play.element],
      ["about", words.about, () => about],
    ], tab, (chosen) => {
      history.replaceState(null, "", `#/run/${encodeURIComponent(name)}/${chosen}`);
      if (chosen === "play") play.open();
      if (chosen === "watch") requestAnimationFrame(() => curves.resize());
    }));

  function drawHead(row) {
    fill(head, h("span", { class: `chip ${row.state}`, id: "state" }, words.states[row.state] || row.state),
      row.total ? h("progress", { max: 1, value: Math.min(1, row.images / row.total), "aria-label": words.columns.progress }) : null,
      h("span", { id: "progress" }, row.total ? `${count(row.images)} / ${count(row.total)} (${percent(row.images / row.total)})` : count(row.images)),
      row.left === null ? null : h("span", {}, put(words.time_left, { time: duration(row.left) })),
      row.score === null ? null : h("span", {}, `${row.metric} ${short(row.score)}${row.floor === null ? "" : ` (${put(words.floor_short, { floor: short(row.floor) })})`}`));
    const held = row.state === "running" || row.state === "paused";
    const shown = `${row.state} ${state.readOnly} ${state.about?.can_start}`;
    if (buttons.dataset.shown === shown) return;
    buttons.dataset.shown = shown;
    const list = [];
    if (held && !state.readOnly) {
      list.push(row.state === "paused" ? ask("resume", words.resume, "main") : ask("pause", words.pause, "main"),
        ask("save", words.save), ask("sample", words.sample), ask("stop", words.stop));
      if (row.state === "paused") list.push(ask("turn_d", words.turn_d), ask("turn_g", words.turn_g));
    } else if (!state.readOnly && state.about?.can_start && row.state !== "finished") {
      list.push(h("button", { type: "button", class: "main", onclick: () =>
        act("/api/continue", { run: name }, words.started).catch(() => {}) }, words.train_on));
    }
    const verb = { running: "pause", paused: "resume" }[row.state];
    fill(buttons, list, verb ? command(shell(["saddle", verb, state.about?.path || name]), words)
      : state.about?.resume ? command(state.about.resume, words) : null);
  }

  function drawHealth(told) {
    const now = told.now;
    const alarm = !["learning", "done", "unknown"].includes(now.kind);
    fill(health, h("h2", {}, words.health), h("p", {}, h("span", { class: `chip ${alarm ? "alarm" : "finished"}` }, words.verdicts[now.kind] || now.kind),
      " ", verdictWords(now), " ", now.since ? h("span", { class: "soft small" }, put(words.since, { images: count(now.since) })) : null),
    advice(now) ? h("p", {}, advice(now)) : null,
    Object.keys(now.evidence).length ? h("table", { class: "small" }, h("thead", {}, h("tr", {}, h("th", {}, words.evidence), h("th", {}, words.value))),
      h("tbody", {}, Object.entries(now.evidence).map(([key, value]) => h("tr", {}, h("td", {}, words.figures[key] || key), h("td", { class: "number" }, short(value)))))) : null,
    told.told.length > 1 ? h("details", {}, h("summary", {}, words.before), h("ul", {}, told.told.map((each) =>
      h("li", {}, `${count(each.images)}: ${words.verdicts[each.kind] || each.kind}. ${verdictWords(each)}`)))) : null);
  }

  function drawMarks(edits, alarms) {
    const all = [...edits.map((edit) => ({ images: edit.images, text: edit.words })),
      ...alarms.map((alarm) => ({ images: alarm.images, alarm: true, text: verdictWords({ kind: alarm.verdict, words: alarm.words, evidence: alarm.evidence }) }))];
    all.sort((a, b) => a.images - b.images);
    fill(marks, h("h2", {}, words.marks), all.length ? h("ul", {}, all.map((mark) => h("li", { class: mark.alarm ? "bad" : "" },
      `${count(mark.images)}: ${mark.alarm ? "! " : "✎ "}${mark.text}`))) : h("p", { class: "soft" }, words.no_marks));
    curves.setMarks(all, state.about.floors);
  }

  function drawAbout(told) {
    const link = (run) => h("a", { href: `#/run/${encodeURIComponent(run)}` }, run);
    fill(about, told.parent ? h("p", {}, put(words.parent, { parent: told.parent })) : null,
      told.members.length ? h("p", {}, words.of_members, " ", told.members.map((each) => [link(each), " "])) : null,
      told.population ? h("p", {}, words.of_population, " ", link(told.population)) : null,
      told.diverged ? h("p", { class: "bad" }, told.diverged) : null,
      told.output.length ? [h("h2", {}, words.output), h("pre", { tabindex: 0 }, told.output.join("\n"))] : null,
      h("h2", {}, words.log_end), h("pre", { tabindex: 0 }, told.log.join("\n") || "–"),
      h("h2", {}, words.settings), h("pre", { tabindex: 0 }, told.config),
      h("h2", {}, words.environment), h("table", { class: "small" }, h("tbody", {},
        Object.entries(told.environment).map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", { class: "name" }, value))))));
  }

  async function refresh() {
    const told = await get("/api/run", { run: name }, { fresh: state.about !== null });
    if (told) {
      if (state.row && state.row.state !== told.row.state && told.row.state !== asked) said.textContent = "";
      state.about = told;
      state.row = told.row;
      state.readOnly = told.read_only;
      place(told.folder + (told.read_only ? ` · ${words.read_only}` : ""));
      samples.update(told);
      plane.update(told);
      drawMarks(told.edits, told.alarms);
      drawAbout(told);
    }
    drawHead(state.row);
    steer.update();
    play.update();
    return told !== null || state.row.state === "running";
  }

  const stops = [repeat(refresh, 1.5), repeat(async () => {
    const changed = await curves.update();
    if (changed) drawHealth(curves.health);
    return curves.log.done < 0.999 ? "soon" : changed || state.row?.state === "running";
  }, 0.8)];
  return () => { stops.forEach((stop) => stop()); curves.destroy(); };
}

/** Points in two dimensions: D's judgement of the plane as colours, real points and samples on it. */
function landscape(name) {
  let shown = null;
  let asking = false;
  const canvas = h("canvas", { width: 640, height: 640, role: "img", "aria-label": words.landscape });
  canvas.style.maxWidth = "100%";
  const caption = h("figcaption");
  const element = h("section", { class: "panel", hidden: true }, h("h2", {}, words.landscape), h("p", { class: "soft small" }, words.landscape_help), canvas, caption);

  function draw(told) {
    const side = Math.round(Math.sqrt(told.judged.length));
    const small = new OffscreenCanvas(side, side);
    const image = new ImageData(side, side);
    told.judged.forEach((value, at) => {
      const [row, column] = [side - 1 - Math.floor(at / side), at % side]; // up is larger
      const away = (value - 128) / 127;
      const colour = away > 0 ? [255 - 150 * away, 255 - 90 * away, 255 - 15 * away] : [255 + 10 * away, 255 + 100 * away, 255 + 190 * away];
      image.data.set([...colour, 255], 4 * (row * side + column));
    });
    small.getContext("2d").putImageData(image, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    const place = (value) => (value - told.low) / (told.high - told.low);
    for (const [points, fill_, ring] of [[told.real, "#10407f", false], [told.samples, "#7a2500", true]]) {
      context.fillStyle = context.strokeStyle = fill_;
      context.lineWidth = 1.5;
      for (const [x, y] of points) {
        context.beginPath();
        context.arc(place(x) * canvas.width, (1 - place(y)) * canvas.height, 3, 0, 7);
        if (ring) context.stroke();
        else context.fill();
      }
    }
    caption.textContent = put(words.after_images, { images: count(told.images) });
  }

  return { element, async update(told) {
    const newest = told.checkpoints.at(-1);
    if (!told.plane || asking || newest === shown) return;
    asking = true;
    try {
      draw(await get("/api/play/landscape", { run: name }));
      shown = newest;
      element.hidden = false;
    } catch { shown = newest; // there is none, such as of points in three dimensions
    } finally { asking = false; }
  } };
}

/** Samples from the same latents at every time, beside real ones. */
function scrubber(name) {
  let grids = [];
  let real = false;
  let newest = true;
  let shown = null;
  const image = h("img", { alt: words.samples });
  const data = h("img", { alt: words.real });
  const caption = h("figcaption", { "aria-live": "off" });
  const slider = h("input", { type: "range", min: "0", max: "0", step: "1", "aria-label": words.through_time, oninput: () => {
    newest = Number(slider.value) === grids.length - 1;
    show();
  } });
  slider.style.width = "100%";
  const figure = h("figure", {}, image, h("figcaption", {}, caption, slider));
  const element = h("div", { class: "pair" }, figure, h("figure", {}, data, h("figcaption", {}, words.real)));

  async function show() {
    const at = grids[Number(slider.value)];
    if (at === undefined || at === shown) return;
    shown = at;
    const text = put(words.after_images, { images: count(at) });
    caption.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    try {
      const address = await picture("/api/picture", { run: name, name: String(at) });
      if (shown === at) {
        image.src = address;
        image.alt = `${words.samples}, ${text}`;
      }
    } catch { shown = null; }
  }

  return { element, update(told) {
    if (told.data_picture && !real) {
      real = true;
      picture("/api/picture", { run: name, name: "data" }).then((address) => { data.src = address; }, () => { real = false; });
    }
    const before = grids[Number(slider.value)];
    grids = told.grids;
    slider.max = String(Math.max(0, grids.length - 1));
    slider.disabled = grids.length < 2;
    const stay = grids.indexOf(before);
    slider.value = String(newest || stay < 0 ? grids.length - 1 : stay);
    show();
    if (!grids.length) caption.textContent = words.no_grids;
  } };
}
