// The page: which view the address names, who may see it, and what happens when the server is away.
import { setToken, Trouble } from "/static/ask.js";
import { h, fill } from "/static/page.js";
import { language, put, words } from "/static/words.js";
import { runsView } from "/static/runs.js";
import { runView } from "/static/run.js";
import { startView } from "/static/start.js";
import { compareView } from "/static/compare.js";

const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
let leave = () => {};

document.documentElement.lang = language;
document.getElementById("skip").textContent = words.skip;
fill(document.getElementById("top"), h("strong", {}, h("a", { href: "#/" }, "saddle studio")),
  h("a", { href: "#/" }, words.runs), h("a", { href: "#/start" }, words.start_run), h("span", { class: "soft small", id: "place" }));

/** Show that something went wrong, or that nothing is wrong any more. */
function tell(error) {
  if (error instanceof Trouble && error.status === 401) return askToken();
  trouble.hidden = !error;
  if (error) trouble.textContent = error instanceof Trouble && error.status === 0 ? words.away : put(words.trouble, { what: error.message });
}

function askToken() {
  leave();
  leave = () => {};
  const input = h("input", { type: "password", autocomplete: "off", required: true, id: "token" });
  fill(main, h("h1", {}, words.token), h("p", {}, words.token_help),
    h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); setToken(input.value.trim()); show(); } },
      h("label", { for: "token" }, words.token), input, h("button", { class: "main" }, words.go)));
  trouble.hidden = true;
  input.focus();
}

/** Call `work` now and every `seconds`, less often while it finds nothing new; returns what ends it. */
function repeat(work, seconds) {
  let ended = false;
  let quiet = 0;
  let timer = 0;
  async function turn() {
    if (ended) return;
    if (!document.hidden) {
      try {
        const found = await work();
        quiet = found === "soon" ? -2.5 : found === false ? Math.min(Math.max(quiet, 0) + 1, 8) : 0;
        if (!ended) tell(null);
      } catch (error) {
        if (!ended) tell(error);
      }
    }
    if (!ended) timer = setTimeout(turn, 1000 * (document.hidden ? 1 : seconds * (1 + quiet / 4)));
  }
  turn();
  return () => { ended = true; clearTimeout(timer); };
}

function show() {
  leave();
  trouble.hidden = true;
  const parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const context = { main, tell, repeat, place: (text) => { document.getElementById("place").textContent = text; } };
  if (parts[0] === "run") leave = runView(context, parts[1], parts[2] || "watch");
  else if (parts[0] === "start") leave = startView(context);
  else if (parts[0] === "compare") leave = compareView(context, parts[1], parts[2]);
  else leave = runsView(context);
  document.title = parts[1] ? `${parts[1]} – saddle studio` : "saddle studio";
  if (document.activeElement === document.body) main.focus();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest && event.target.closest("input, select, textarea, [role=tab], [role=tabpanel] button");
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  if (event.key === "g") location.hash = "#/";
  if (event.key === "n") location.hash = "#/start";
  if (event.key === "/") {
    const filter = document.querySelector("[type=search]");
    if (filter) { event.preventDefault(); filter.focus(); }
  }
});
window.addEventListener("hashchange", show);
show();
