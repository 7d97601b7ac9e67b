// Curves of a run that grow by what is new, with one zoom and one cursor for all of them.
import uPlot from "/static/uplot.js";
import { get } from "/static/ask.js";
import { h, fill, inline, option } from "/static/page.js";
import { count, percent, put, short, words } from "/static/words.js";

const groups = [
  ["losses", ["discriminator_loss", "generator_loss", "nats"]],
  ["outputs", ["d_real", "d_fake"]],
  ["health", ["variety", "coverage"]],
];
const colours = ["--one", "--two", "--three", "--four"];
const dashes = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Figures over images seen, to which parts are added. */
class Series {
  constructor() {
    this.clear();
  }

  clear() {
    Object.assign(this, { life: 0, width: 0, places: 0, images: [], figures: {}, done: 1 });
  }

  /** Whether anything has changed. */
  add(part) {
    const wide = part.width > 1 ? 2 : 1;
    if (part.life !== this.life || part.width !== this.width || part.start === 0) {
      this.clear();
      this.figures = part.figures;
      this.images = part.images;
    } else {
      const stay = part.start * wide;
      if (!part.images.length && this.images.length === stay) return false;
      this.images.length = stay;
      for (const name of new Set([...Object.keys(this.figures), ...Object.keys(part.figures)])) {
        const before = this.figures[name] || new Array(stay).fill(null);
        before.length = stay;
        const values = part.figures[name] || new Array(part.images.length).fill(null);
        this.figures[name] = before.concat(values);
      }
      this.images = this.images.concat(part.images);
    }
    Object.assign(this, { life: part.life, width: part.width, places: part.places, done: part.done });
    return true;
  }
}

export class Curves {
  constructor(run) {
    this.run = run;
    this.log = new Series();
    this.scores = new Series();
    this.detail = null; // the log between two positions, read again
    this.range = null;
    this.marks = [];
    this.floors = {};
    this.plots = new Map();
    this.other = "";
    this.health = null;
    this.state = h("span", { class: "soft small", role: "status" });
    this.grid = h("div", { class: "plots" });
    this.more = h("select", { onchange: () => { this.other = this.more.value; this.draw(true); } }, option("", "–"));
    const zoom = (part) => () => this.zoom(part);
    this.element = h("div", {}, h("div", { class: "row", role: "group", "aria-label": words.zoom },
      h("button", { type: "button", onclick: zoom("all") }, words.whole_run),
      h("button", { type: "button", onclick: zoom("in"), "aria-label": words.zoom_in }, "+"),
      h("button", { type: "button", onclick: zoom("out"), "aria-label": words.zoom_out }, "−"),
      h("button", { type: "button", onclick: zoom("left"), "aria-label": words.earlier }, "◂"),
      h("button", { type: "button", onclick: zoom("right"), "aria-label": words.later }, "▸"),
      inline(words.other_figure, this.more), this.state), this.grid, h("p", { class: "soft small" }, words.zoom_help));
    this.sync = uPlot.sync(`run ${run}`);
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(this.grid);
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => { this.clear(); this.draw(); };
    this.media.addEventListener("change", this.repaint);
  }

  async update() {
    const told = await get("/api/curves", {
      run: this.run, life: this.log.life, width: this.log.width, start: this.log.places,
      scores_life: this.scores.life, scores_width: this.scores.width, scores_start: this.scores.places,
    }, { fresh: true });
    if (!told) return false;
    this.health = told.health;
    const changed = [this.log.add(told.log), this.scores.add(told.scores)];
    this.state.textContent = this.log.done < 0.999 ? put(words.reading_log, { share: percent(this.log.done) }) : "";
    if (changed.some(Boolean)) this.draw();
    return true;
  }

  setMarks(marks, floors) {
    const text = JSON.stringify([marks, floors]);
    if (text === this.marked) return;
    this.marked = text;
    this.marks = marks;
    this.floors = floors;
    for (const { plot } of this.plots.values()) plot.redraw();
  }

  wanted() {
    const has = (series, name) => (series.figures[name] || []).some((value) => value !== null);
    const found = [];
    for (const [title, names] of groups) {
      const some = names.filter((name) => has(this.log, name));
      if (some.length) found.push([title, words.plots[title], this.log, some]);
    }
    for (const name of Object.keys(this.scores.figures)) {
      if (has(this.scores, name)) found.push([`score ${name}`, put(words.score_of, { name }), this.scores, [name]]);
    }
    if (this.other && has(this.log, this.other)) found.push(["other", this.other, this.log, [this.other]]);
    return found;
  }

  draw() {
    const known = new Set(groups.flatMap(([, names]) => names));
    const others = Object.keys(this.log.figures).filter((name) => !known.has(name));
    if (others.join() !== this.others) {
      this.others = others.join();
      fill(this.more, option("", "–"), others.map((name) => option(name, name, name === this.other)));
    }
    const wanted = this.wanted();
    for (const [key, made] of this.plots) {
      const still = wanted.find(([each, , , names]) => each === key && names.join() === made.names);
      if (!still) {
        made.plot.destroy();
        made.box.remove();
        this.plots.delete(key);
      }
    }
    for (const [key, title, series, names] of wanted) {
      if (!this.plots.has(key)) this.make(key, title, names);
      const source = series === this.log && this.detail ? this.detail : series;
      const empty = new Array(source.images.length).fill(null);
      const data = [source.images, ...names.map((name) => source.figures[name] || empty)];
      const made = this.plots.get(key);
      made.plot.setData(data, false);
      made.plot.batch(() => this.scale(made.plot));
      const last = names.map((name) => [name, (series.figures[name] || []).findLast((value) => value !== null)]);
      made.box.firstChild.nextSibling.textContent = last.map(([name, value]) => `${words.figures[name] || name} ${short(value)}`).join(" · ");
    }
    if (!wanted.length) this.state.textContent = words.no_curves;
  }

  make(key, title, names) {
    const box = h("div", { class: "plot" }, h("h3", {}, title), h("div", { class: "soft small" }), h("div"));
    this.grid.append(box);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--grid"), width: 1 } };
    const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
    const plot = new uPlot({
      width: Math.max(200, box.clientWidth - 16), height: 210,
      scales: { x: { time: false, auto: false }, y: { auto: true } },
      cursor: { sync: { key: this.sync.key, scales: ["x", null] }, drag: { x: true, y: false, setScale: false } },
      legend: { live: true },
      series: [{ label: words.images_seen, value: (_, value) => count(value) }, ...names.map((name, at) => ({
        label: words.figures[name] || name, stroke: colour(colours[at]), width: 1.5, dash: dashes[at], spanGaps: true,
        points: { show: key.startsWith("score") || undefined }, value: (_, value) => short(value),
      }))],
      axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => compact.format(tick)) }, { ...axis, size: 56, values: (_, ticks) => ticks.map(short) }],
      hooks: {
        setSelect: [(self) => {
          if (self.select.width < 4) return;
          const [low, high] = [self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x")];
          self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          if (self === this.plots.get(key)?.plot && self.cursor.event) this.show([low, high]);
        }],
        draw: [(self) => this.drawMarks(self, names)],
      },
    }, [[], ...names.map(() => [])], box.lastChild);
    plot.over.addEventListener("dblclick", () => this.show(null));
    this.plots.set(key, { plot, box, names: names.join() });
  }

  span() {
    const first = this.log.images[0] ?? 0;
    return [Math.min(first, 0), Math.max(this.log.images.at(-1) ?? 1, this.scores.images.at(-1) ?? 0, 1)];
  }

  scale(plot) {
    const [min, max] = this.range || this.span();
    plot.setScale("x", { min, max });
  }

  zoom(part) {
    const whole = this.span();
    const [low, high] = this.range || whole;
    const width = high - low;
    const ranges = { all: null, in: [low + width / 4, high - width / 4], out: [low - width / 2, high + width / 2],
      left: [low - width / 4, high - width / 4], right: [low + width / 4, high + width / 4] };
    let range = ranges[part];
    if (range) {
      range = [Math.max(whole[0], range[0]), Math.min(whole[1], range[1])];
      if (range[1] - range[0] < 1 || range[1] - range[0] >= whole[1] - whole[0]) range = null;
    }
    this.show(range);
  }

  async show(range) {
    this.range = range;
    this.detail = null;
    this.draw();
    if (range && this.log.width > 1) {
      try {
        const told = await get("/api/window", { run: this.run, first: Math.floor(range[0]), last: Math.ceil(range[1]) });
        if (told.log && this.range === range) {
          this.detail = told.log;
          this.draw();
        }
      } catch { /* the coarse curve stays */ }
    }
  }

  drawMarks(plot, names) {
    const context = plot.ctx;
    const { left, top, width, height } = plot.bbox;
    context.save();
    context.lineWidth = devicePixelRatio;
    for (const mark of this.marks) {
      const at = plot.valToPos(mark.images, "x", true);
      if (at < left || at > left + width) continue;
      context.strokeStyle = colour(mark.alarm ? "--bad" : "--accent");
      context.setLineDash(mark.alarm ? [] : [4 * devicePixelRatio, 4 * devicePixelRatio]);
      context.beginPath();
      context.moveTo(at, top);
      context.lineTo(at, top + height);
      context.stroke();
      context.fillStyle = context.strokeStyle;
      context.font = `${12 * devicePixelRatio}px system-ui`;
      context.fillText(mark.alarm ? "!" : "✎", at + 3 * devicePixelRatio, top + 12 * devicePixelRatio);
    }
    for (const name of names) {
      if (!(name in this.floors)) continue;
      const at = plot.valToPos(this.floors[name], "y", true);
      context.strokeStyle = colour("--three");
      context.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
      context.beginPath();
      context.moveTo(left, at);
      context.lineTo(left + width, at);
      context.stroke();
    }
    context.restore();
  }

  resize() {
    for (const { plot, box } of this.plots.values()) {
      const width = Math.max(200, box.clientWidth - 16);
      if (Math.abs(width - plot.width) > 1) plot.setSize({ width, height: 210 });
    }
  }

  clear() {
    for (const { plot, box } of this.plots.values()) {
      plot.destroy();
      box.remove();
    }
    this.plots.clear();
  }

  destroy() {
    this.resizer.disconnect();
    this.media.removeEventListener("change", this.repaint);
    this.clear();
  }
}
