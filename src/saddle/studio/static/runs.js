// The list of runs.
import { get, picture } from "/static/ask.js";
import { h, fill, inline, option } from "/static/page.js";
import { count, duration, percent, put, short, words } from "/static/words.js";

const kept = { sort: "written", down: true, filter: "", state: "" }; // as long as the page is open
const chosen = new Set();

const sorts = {
  name: (run) => run.name,
  state: (run) => run.state,
  progress: (run) => (run.total ? run.images / run.total : -1),
  left: (run) => run.left ?? -1,
  score: (run) => run.score ?? Infinity,
  written: (run) => run.written ?? 0,
};

export function runsView({ main, repeat, place }) {
  const rows = new Map();
  let runs = [];
  const body = h("tbody");
  const none = h("p", { class: "soft" });
  const filter = h("input", { type: "search", value: kept.filter, oninput: () => { kept.filter = filter.value; draw(); } });
  const states = h("select", { onchange: () => { kept.state = states.value; draw(); } },
    ["", "running", "paused", "finished", "collapsed", "stopped", "diverged"].map((each) =>
      option(each, each ? words.states[each] : words.all_states, each === kept.state)));
  const order = h("select", { onchange: () => { kept.sort = order.value; kept.down = false; draw(); } },
    Object.keys(sorts).map((each) => option(each, words.columns[each], each === kept.sort)));
  const compare = h("button", { type: "button", disabled: true, onclick: () => {
    location.hash = `#/compare/${[...chosen].map(encodeURIComponent).join("/")}`;
  } }, words.compare_two);
  const heads = new Map(Object.keys(sorts).map((each) => [each, h("th", { scope: "col" },
    h("button", { class: "plain", type: "button", onclick: () => {
      kept.down = kept.sort === each ? !kept.down : false;
      kept.sort = each;
      order.value = each;
      draw();
    } }, words.columns[each]))]));
  const table = h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, words.samples), ...heads.values(),
    h("th", { scope: "col" }, words.choose))), body);
  fill(main, h("h1", {}, words.runs),
    h("div", { class: "row" }, inline(words.filter, filter), inline(words.columns.state, states), inline(words.sort, order),
      compare, h("a", { href: "#/start" }, words.start_run)),
    h("div", { class: "runs" }, table), none);

  function draw() {
    const by = sorts[kept.sort];
    const wanted = kept.filter.toLowerCase();
    const shown = runs.filter((run) => (!kept.state || run.state === kept.state)
      && (!wanted || `${run.name} ${run.recipe} ${run.data}`.toLowerCase().includes(wanted)));
    shown.sort((a, b) => {
      const [one, two] = [by(a), by(b)];
      return (one < two ? -1 : one > two ? 1 : 0) * (kept.down ? -1 : 1);
    });
    for (const [name, head] of heads) {
      head.setAttribute("aria-sort", name !== kept.sort ? "none" : kept.down ? "descending" : "ascending");
    }
    const elements = shown.map((run) => rows.get(run.name).element);
    if (elements.some((each, at) => body.children[at] !== each) || body.children.length !== elements.length) {
      body.replaceChildren(...elements);
    }
    none.textContent = runs.length ? (shown.length ? "" : words.none_match) : words.no_runs;
    compare.disabled = chosen.size !== 2;
  }

  const stop = repeat(async () => {
    const told = await get("/api/runs", null, { fresh: runs.length > 0 });
    if (!told) return false;
    place(told.folder + (told.read_only ? ` · ${words.read_only}` : ""));
    runs = told.runs;
    const names = new Set(runs.map((run) => run.name));
    for (const name of rows.keys()) if (!names.has(name)) { rows.delete(name); chosen.delete(name); }
    for (const run of runs) {
      if (!rows.has(run.name)) rows.set(run.name, makeRow(run, draw));
      rows.get(run.name).update(run);
    }
    draw();
    return true;
  }, 1);
  return stop;
}

function makeRow(run, changed) {
  const image = h("img", { alt: "", loading: "lazy", width: 72, height: 72 });
  const cells = Object.fromEntries(Object.keys(sorts).map((each) =>
    [each, h("td", { class: each === "name" ? "name" : "number", "data-name": each === "name" ? null : words.columns[each] })]));
  const box = h("input", { type: "checkbox", checked: chosen.has(run.name), "aria-label": put(words.choose_run, { name: run.name }), onchange: () => {
    if (box.checked) chosen.add(run.name);
    else chosen.delete(run.name);
    changed();
  } });
  const element = h("tr", {}, h("td", {}, image), ...Object.values(cells), h("td", {}, box));
  let before = "";
  let stamp = "";
  return { element, update(now) {
    const text = JSON.stringify(now);
    if (text === before) return;
    before = text;
    fill(cells.name, h("a", { href: `#/run/${encodeURIComponent(now.name)}` }, now.name),
      h("div", { class: "soft small" }, now.state === "damaged" ? now.why : `${now.recipe} · ${now.data}${now.members > 1 ? ` · ${put(words.members, { count: now.members })}` : ""}`));
    fill(cells.state, h("span", { class: `chip ${now.state}` }, words.states[now.state] || now.state),
      now.verdict && now.verdict !== now.state ? h("div", {}, h("span", { class: "chip alarm" }, words.verdicts[now.verdict] || now.verdict)) : null);
    if (now.state === "damaged") return;
    fill(cells.progress, now.total ? [h("progress", { max: 1, value: Math.min(1, now.images / now.total), "aria-label": words.columns.progress }),
      h("div", { class: "small" }, `${percent(now.images / now.total)} · ${count(now.images)}`)] : `${count(now.images)}`);
    cells.left.textContent = now.left === null ? "" : duration(now.left);
    cells.score.textContent = now.score === null ? "" : `${now.metric} ${short(now.score)}${now.floor === null ? "" : ` / ${put(words.floor_short, { floor: short(now.floor) })}`}`;
    cells.written.textContent = new Date(1000 * now.written).toLocaleString();
    if (stamp !== now.picture) {
      stamp = now.picture;
      picture("/api/thumbnail", { run: now.name }, stamp).then((address) => { image.src = address; }, () => {});
    }
  } };
}
