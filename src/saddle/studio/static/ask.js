// Asking the server. The token stands in a header, never in an address.

let token = sessionStorage.getItem("token");
const known = new Map(); // what was told last, by address, with its tag
const pictures = new Map();

export class Trouble extends Error {
  constructor(status, told) {
    super([told.what, told.got, told.expected && `(${told.expected})`, told.remedy].filter(Boolean).join(" · "));
    this.status = status;
    this.told = told;
  }
}

export function setToken(text) {
  token = text;
  sessionStorage.setItem("token", text);
}

function address(path, query) {
  const given = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function send(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch {
    throw new Trouble(0, { what: "" });
  }
  if (answer.ok) return answer;
  let told = { what: `HTTP ${answer.status}` };
  try {
    told = await answer.json();
  } catch { /* an answer that is no JSON */ }
  throw new Trouble(answer.status, told);
}

/** What an address tells; `fresh`: null where it is what it told the last time. */
export async function get(path, query, { fresh = false } = {}) {
  const at = address(path, query);
  const before = known.get(at);
  const answer = await send(at, fresh && before ? { headers: { "if-none-match": before } } : {});
  if (answer.status === 204) return null;
  if (fresh) {
    if (known.size > 300) known.clear();
    known.set(at, answer.headers.get("etag"));
  }
  return answer.json();
}

export async function post(path, body) {
  const headers = { "x-saddle": "1", "content-type": "application/json" };
  return (await send(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

export async function upload(path, query, file) {
  const headers = { "x-saddle": "1", "content-type": "application/octet-stream" };
  return (await send(address(path, query), { method: "POST", headers, body: file })).json();
}

export async function blob(path, query) {
  return (await send(address(path, query))).blob();
}

/** The address of a picture that was fetched with the token; equal `stamp`, equal picture. */
export async function picture(path, query, stamp = "") {
  const key = `${address(path, query)} ${stamp}`;
  if (!pictures.has(key)) {
    const content = await blob(path, query);
    if (pictures.size > 600) {
      for (const each of pictures.values()) URL.revokeObjectURL(each);
      pictures.clear();
    }
    pictures.set(key, URL.createObjectURL(content));
  }
  return pictures.get(key);
}
