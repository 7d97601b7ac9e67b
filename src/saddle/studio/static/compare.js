// Two runs side by side: the page that `saddle compare` writes, and both curves.
import { blob, get } from "/static/ask.js";
import { h, fill, command, save, shell } from "/static/page.js";
import { Curves } from "/static/curves.js";
import { words } from "/static/words.js";

export function compareView({ main, tell, repeat }, a, b) {
  const query = { a, b };
  const names = [a, b].map((name) => h("a", { href: `#/run/${encodeURIComponent(name)}` }, name));
  const open = h("button", { type: "button", class: "main", onclick: async () => {
    try {
      save(await blob("/api/compare", query), "compare.html");
    } catch (error) {
      tell(error);
    }
  } }, words.compare_download);
  const link = h("a", { href: `/api/compare?${new URLSearchParams(query)}`, target: "_blank", rel: "noopener" }, words.compare_open);
  const shown = h("div");
  const both = [a, b].map((name) => new Curves(name));
  fill(main, h("h1", {}, names[0], " · ", names[1]), h("p", {}, words.compare_help),
    h("div", { class: "row" }, sessionStorage.getItem("token") ? null : link, open),
    h("div", { class: "pair" }, both.map((curves, at) => h("section", { "aria-label": [a, b][at] }, h("h2", {}, [a, b][at]), curves.element))),
    shown);
  Promise.all([a, b].map((run) => get("/api/run", { run }))).then((told) => {
    fill(shown, command(shell(["saddle", "compare", ...told.map((each) => each.path)]), words));
  }, tell);
  const stops = both.map((curves) => repeat(() => curves.update(), 2));
  return () => { stops.forEach((stop) => stop()); both.forEach((curves) => curves.destroy()); };
}
