/**
 * The one door to onnxruntime-web: a graph is a function from named arrays to arrays.
 *
 * onnxruntime-web is handed in, so that a page, a worker and Node each bring their own.
 */

import { GraphError } from "./errors.js";

/** Types of the inputs, as onnxruntime-web names them. */
const INPUTS = {
  encoder: { pixels: "uint8" },
  hyper_encoder: { y: "float32", quality: "float32" },
  hyper_decoder: { z: "int16", symbols: "int16", step: "int64" },
  decoder: { y_hat: "float32", quality: "float32" },
};
const OUTPUTS = {
  encoder: ["y"],
  hyper_encoder: ["scaled", "z"],
  hyper_decoder: ["mean", "index"],
  decoder: ["pixels"],
};

const OPTIONS = { executionProviders: ["wasm"], logSeverityLevel: 3 };
/** The smallest ONNX model: y = x. */
const IDENTITY = Uint8Array.from(
  atob("CAg6LwoQCgF4EgF5IghJZGVudGl0eRIBZ1oLCgF4EgYKBAgBEgBiCwoBeRIGCgQIARIAQgQKABAR"),
  (character) => character.charCodeAt(0),
);

let lastCall = Promise.resolve();

/** Run `action` when all before it have ended: onnxruntime-web does one thing at a time. */
function inTurn(action) {
  const call = lastCall.then(action);
  lastCall = call.catch(() => {});
  return call;
}

/**
 * Begin to compile the runtime, while models are still on their way.
 *
 * What is wrong with it shows when the first graph is opened.
 */
export function startRuntime(ort) {
  inTurn(() => ort.InferenceSession.create(IDENTITY, OPTIONS)).catch(() => {});
}

/** One ONNX graph of a bundle; its session is made at the first run. */
export class Graph {
  /**
   * `read()` promises the bytes of the ONNX file; `check(run)`, if given, may refuse the session
   * right after it is made.
   */
  constructor(ort, name, file, read, check = null) {
    this.ort = ort;
    this.name = name;
    this.file = file;
    this.read = read;
    this.check = check;
    this.session = null;
  }

  /** Make the session if there is none; GraphError if it cannot be made. */
  open() {
    this.session ??= this.make();
    return this.session;
  }

  /**
   * Return the outputs by name, `{ data, dims }` each.
   *
   * `inputs` are `[data, dims]` by name. GraphError if onnxruntime refuses them.
   */
  async run(inputs) {
    return this.feed(await this.open(), inputs);
  }

  async make() {
    try {
      const model = await this.read();
      const session = await this.guarded("cannot be loaded", () =>
        this.ort.InferenceSession.create(model, OPTIONS),
      );
      const wanted = Object.keys(INPUTS[this.name]);
      if (wanted.some((name) => !session.inputNames.includes(name))) {
        throw new GraphError(
          `${this.file}: takes ${session.inputNames}, not ${wanted}; export the bundle again`,
        );
      }
      await this.check?.((inputs) => this.feed(session, inputs));
      return session;
    } catch (error) {
      this.session = null; // a failed download may be tried again
      throw error;
    }
  }

  async feed(session, inputs) {
    const feeds = {};
    for (const [name, [data, dims]] of Object.entries(inputs)) {
      const type = data instanceof Float32Array ? "float32" : INPUTS[this.name][name];
      feeds[name] = new this.ort.Tensor(type, data, dims);
    }
    return this.guarded("cannot be run", () => session.run(feeds, OUTPUTS[this.name]));
  }

  async guarded(what, action) {
    try {
      return await inTurn(action);
    } catch (error) {
      const reason = String(error?.message ?? error).split(/\s+/).join(" ");
      throw new GraphError(`${this.file} ${what}: ${reason}`);
    }
  }
}

/** Throw GraphError unless an output has the expected dims. */
export function checkShape(file, { dims }, expected) {
  if (dims.length !== expected.length || dims.some((side, i) => side !== expected[i])) {
    throw new GraphError(
      `${file}: gives (${dims}), not (${expected}); export the bundle again`,
    );
  }
}
