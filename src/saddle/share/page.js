// Runs the generator that this page holds. Nothing is sent anywhere.

const part = (id) => document.getElementById(id);
const about = JSON.parse(part("about").textContent);
const { latent, classes, shape } = about;
const images = about.kind === "images";
const width = latent.size + latent.codes;
const values = shape.reduce((product, side) => product * side, 1);
const SLIDERS = 12;
const MANY = images ? (values > 3 * 64 * 64 ? 16 : 64) : 500;
const STEPS = 8;

// ---- the generator

async function bytesOf(text) {
  const answer = atob(text.trim());
  return Uint8Array.from(answer, (letter) => letter.charCodeAt(0));
}

async function fileOf(kind) {
  if (about.runtime === null) return bytesOf(part(kind).textContent);
  const { url, integrity } = about.runtime[kind];
  const answer = await fetch(url, { integrity, credentials: "omit", referrerPolicy: "no-referrer" });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function open() {
  const [code, binary, model] = await Promise.all([fileOf("code"), fileOf("binary"), bytesOf(part("model").textContent)]);
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = binary.buffer;
  return [ort, await ort.InferenceSession.create(model, { executionProviders: ["wasm"] })];
}

// Samples for `count` latents, one after the other in a Float32Array; images are in [0, 1].
let turn = Promise.resolve(); // a session makes one pass at a time
function run(count, latents, labels, inputs) {
  const feeds = { latents: new ort.Tensor("float32", latents, [count, width]) };
  if (classes.length) feeds.labels = new ort.Tensor("float32", labels, [count, classes.length]);
  if (about.inputs) feeds.inputs = new ort.Tensor("float32", inputs, [count, about.inputs.channels, ...shape.slice(1)]);
  const made = turn.then(() => session.run(feeds)).then((found) => found.samples.data);
  turn = made.catch(() => {});
  return made;
}

const toPixels = (samples) => Uint8ClampedArray.from(samples, (value) => Math.floor(255 * value + 0.5));

// ---- latents

// Numbers in [0, 1) that follow from a seed and a number: "mulberry32", public domain.
function chance(seed, number) {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function drawLatent(seed, number, truncation = 1) {
  const next = chance(seed, number);
  const drawn = new Float32Array(width);
  const middle = latent.distribution === "uniform" ? (latent.low + latent.high) / 2 : 0;
  for (let at = 0; at < latent.size; at++) {
    const value =
      latent.distribution === "uniform"
        ? latent.low + (latent.high - latent.low) * next()
        : Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    drawn[at] = middle + truncation * (value - middle);
  }
  if (latent.codes) drawn[latent.size + Math.floor(next() * latent.codes)] = 1;
  return drawn;
}

// From one latent to another: on the sphere for normal latents, straight for uniform ones and for codes.
function between(start, end, share) {
  const mixed = start.map((value, at) => value + share * (end[at] - value));
  if (latent.distribution === "uniform") return mixed;
  let product = 0, first = 0, last = 0;
  for (let at = 0; at < latent.size; at++) {
    product += start[at] * end[at];
    first += start[at] ** 2;
    last += end[at] ** 2;
  }
  const angle = Math.acos(Math.max(-1, Math.min(1, product / Math.sqrt(first * last || 1))));
  if (Math.sin(angle) < 1e-3) return mixed;
  for (let at = 0; at < latent.size; at++) {
    mixed[at] = (Math.sin((1 - share) * angle) * start[at] + Math.sin(share * angle) * end[at]) / Math.sin(angle);
  }
  return mixed;
}

function shares(first, second = first, share = 0) {
  const found = new Float32Array(classes.length);
  if (classes.length) {
    found[first] += 1 - share;
    found[second] += share;
  }
  return found;
}

function joined(rows) {
  const all = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}

// ---- pictures

let given = null; // the picture that is translated, as numbers in [0, 1]
const repeated = (count) => (about.inputs ? joined(Array(count).fill(given)) : null);

function toImage(pixels, number) {
  const [channels, height, wide] = shape;
  const image = new ImageData(wide, height);
  const plane = height * wide;
  for (let place = 0; place < plane; place++) {
    for (let channel = 0; channel < 4; channel++) {
      const from = channels === 1 ? 0 : channel;
      const opaque = channel === 3 && channels !== 4;
      image.data[4 * place + channel] = opaque ? 255 : pixels[number * values + from * plane + place];
    }
  }
  return image;
}

// A grid of images, or points as dots; `large` enlarges.
function show(canvas, samples, count, columns, large = 1) {
  if (!images) return showPoints(canvas, samples, count);
  const [, height, wide] = shape;
  const scale = Math.max(1, Math.round((large * 56) / Math.max(height, wide)));
  const rows = Math.ceil(count / columns), gap = 2;
  canvas.width = columns * (wide * scale + gap);
  canvas.height = rows * (height * scale + gap);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  const one = new OffscreenCanvas(wide, height);
  const pixels = toPixels(samples);
  for (let number = 0; number < count; number++) {
    one.getContext("2d").putImageData(toImage(pixels, number), 0, 0);
    const left = (number % columns) * (wide * scale + gap), top = Math.floor(number / columns) * (height * scale + gap);
    context.drawImage(one, left, top, wide * scale, height * scale);
  }
}

let frame = null; // the axes stay where the first samples put them
function showPoints(canvas, samples, count) {
  const axis = (number, at) => (at < values ? samples[number * values + at] : 0);
  if (frame === null) {
    const ends = [0, 1].map((at) => {
      const sorted = Array.from({ length: count }, (_, number) => axis(number, at)).sort((a, b) => a - b);
      return [sorted[0], sorted[count - 1]];
    });
    const half = 0.6 * Math.max(...ends.map(([low, high]) => high - low), 1e-6);
    frame = ends.map(([low, high]) => [(low + high) / 2 - half, (low + high) / 2 + half]);
  }
  canvas.width = canvas.height = 420;
  const context = canvas.getContext("2d");
  context.fillStyle = "#3b7dd8";
  for (let number = 0; number < count; number++) {
    const [x, y] = [0, 1].map((at) => (axis(number, at) - frame[at][0]) / (frame[at][1] - frame[at][0]));
    const size = count > 50 ? 2 : 5;
    context.fillRect(420 * x - size / 2, 420 * (1 - y) - size / 2, size, size);
  }
}

// ---- the page

const seed = () => Math.min(4294967295, Math.max(0, Math.floor(Number(part("seed").value) || 0)));
const truncation = () => Number(part("truncation").value);
const chosenClass = (number) => {
  const chosen = part("class").value;
  return chosen === "" || !classes.length ? number % (classes.length || 1) : Number(chosen);
};
const numberIn = (id) => Math.min(MANY - 1, Math.max(0, Math.floor(Number(part(id).value) || 0)));
const ready = () => !about.inputs || given !== null;

// Draw anew, but at most once at a time: of what is asked for meanwhile, only the last.
function drawn(draw) {
  let busy = false, again = false;
  return async () => {
    again = true;
    if (busy || !ready()) return;
    busy = true;
    while (again) {
      again = false;
      try {
        await draw();
      } catch (error) {
        fail(error);
      }
    }
    busy = false;
  };
}

const drawMany = drawn(async () => {
  const numbers = Array.from({ length: MANY }, (_, number) => number);
  part("truncation-value").value = part("truncation").value;
  const latents = joined(numbers.map((number) => drawLatent(seed(), number, truncation())));
  const labels = joined(numbers.map((number) => shares(chosenClass(number))));
  show(part("many"), await run(MANY, latents, labels, repeated(MANY)), MANY, Math.round(Math.sqrt(MANY)));
});

let current = new Float32Array(width);
const drawOne = drawn(async () => {
  const labels = shares(Number(part("from-class").value), Number(part("to-class").value), Number(part("share").value));
  show(part("one"), await run(1, current.slice(), labels, repeated(1)), 1, 1, 4);
});

const drawWay = drawn(async () => {
  const ends = ["way-from", "way-to"].map((id) => [numberIn(id), drawLatent(seed(), numberIn(id), truncation())]);
  const places = [...Array(STEPS).keys()].map((step) => step / (STEPS - 1)).concat(Number(part("way").value));
  const latents = joined(places.map((share) => between(ends[0][1], ends[1][1], share)));
  const labels = joined(places.map((share) => shares(chosenClass(ends[0][0]), chosenClass(ends[1][0]), share)));
  const count = images ? places.length : STEPS;
  show(part("way-shown"), await run(places.length, latents, labels, repeated(places.length)), count, places.length);
});

function choose(number) {
  part("number").value = number;
  current = drawLatent(seed(), number, truncation());
  if (classes.length) part("from-class").value = part("to-class").value = chosenClass(number);
  for (const slider of part("sliders").querySelectorAll("input")) slider.value = current[Number(slider.dataset.at)];
  drawOne();
}

function redraw() {
  drawMany();
  choose(numberIn("number"));
  drawWay();
}

function fail(error) {
  part("status").className = "failed";
  part("status").textContent = `The generator cannot be run here: ${error.message}`;
}

async function takePicture(file) {
  const [, height, wide] = shape;
  const picture = await createImageBitmap(file);
  const canvas = part("given");
  canvas.width = wide;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, wide, height);
  const { fit } = about.inputs;
  const across = wide / picture.width, down = height / picture.height;
  const scale = fit === "crop" ? Math.max(across, down) : Math.min(across, down);
  const [w, h] = fit === "stretch" ? [wide, height] : [scale * picture.width, scale * picture.height];
  context.drawImage(picture, (wide - w) / 2, (height - h) / 2, w, h);
  const { data } = context.getImageData(0, 0, wide, height);
  const { channels } = about.inputs, plane = height * wide;
  given = new Float32Array(channels * plane);
  for (let place = 0; place < plane; place++) {
    const [red, green, blue] = data.subarray(4 * place, 4 * place + 3);
    const grey = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    for (let channel = 0; channel < channels; channel++) {
      given[channel * plane + place] = (channels === 1 ? grey : data[4 * place + channel]) / 255;
    }
  }
  redraw();
}

function prepare() {
  for (const id of ["class", "from-class", "to-class"]) {
    if (id === "class") part(id).add(new Option("all in turn", ""));
    classes.forEach((name, index) => part(id).add(new Option(name, index)));
  }
  part("class-choice").hidden = part("mixture").hidden = !classes.length;
  part("pictures").hidden = !about.inputs;
  for (const id of ["number", "way-from", "way-to"]) part(id).max = MANY - 1;
  const normal = latent.distribution === "normal";
  for (let at = 0; at < Math.min(SLIDERS, latent.size); at++) {
    const label = document.createElement("label"), slider = document.createElement("input");
    const [low, high] = normal ? [-3, 3] : [latent.low, latent.high];
    Object.assign(slider, { type: "range", min: low, max: high, step: (high - low) / 200 });
    slider.dataset.at = at;
    slider.addEventListener("input", () => {
      current[at] = Number(slider.value);
      drawOne();
    });
    label.append(`z${at}`, slider);
    part("sliders").append(label);
  }
  for (const id of ["seed", "class", "truncation"]) part(id).addEventListener("input", redraw);
  for (const id of ["way", "way-from", "way-to"]) part(id).addEventListener("input", drawWay);
  for (const id of ["share", "from-class", "to-class"]) part(id).addEventListener("input", drawOne);
  for (const id of ["number"]) part(id).addEventListener("input", () => choose(numberIn(id)));
  part("reset").addEventListener("click", () => choose(numberIn("number")));
  part("next").addEventListener("click", () => {
    part("seed").value = (seed() + 1) % 4294967296;
    redraw();
  });
  part("file").addEventListener("change", () => part("file").files[0] && takePicture(part("file").files[0]).catch(fail));
  part("many").addEventListener("click", (event) => {
    if (!images) return;
    const columns = Math.round(Math.sqrt(MANY)), box = part("many").getBoundingClientRect();
    const column = Math.floor((columns * (event.clientX - box.left)) / box.width);
    const row = Math.floor((Math.ceil(MANY / columns) * (event.clientY - box.top)) / box.height);
    choose(Math.min(MANY - 1, row * columns + column));
  });
}

let ort, session;
try {
  [ort, session] = await open();
  prepare();
  part("main").hidden = false;
  const size = images ? `${shape[1]} × ${shape[2]} pixels` : `points of ${shape[0]} numbers`;
  part("status").textContent = `${size}; ${latent.size} numbers in a latent; all is computed in this browser.`;
  if (about.inputs) part("status").textContent += " Choose a picture to begin.";
  window.saddle = { about, run, toPixels, drawLatent }; // for the console, and for tests
  redraw();
} catch (error) {
  fail(error);
  window.saddleFailed = String(error.stack || error);
}
