/** Calls into the worker: one promise a call. */

export class Client {
  /** `onProgress({ stage, done, of })` hears of the call that runs. */
  constructor(onProgress) {
    this.onProgress = onProgress;
    this.calls = new Map();
    this.count = 0;
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      const reason = event.message || "a file of it is missing; build the folder again";
      this.fail({ name: "GraphError", message: `the page's runtime cannot be loaded: ${reason}` });
    };
  }

  /** Promise what a method of worker.js returns; rejects with `{ name, message }`. */
  call(method, argument = {}) {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, argument });
    });
  }

  /** End the worker; calls that are under way never settle. */
  close() {
    this.worker.terminate();
    this.calls.clear();
  }

  receive({ id, progress, error, result }) {
    if (progress) {
      this.onProgress(progress);
      return;
    }
    const call = this.calls.get(id);
    this.calls.delete(id);
    if (error) call.reject(error);
    else call.resolve(result);
  }

  fail(error) {
    for (const call of this.calls.values()) call.reject(error);
    this.calls.clear();
  }
}
