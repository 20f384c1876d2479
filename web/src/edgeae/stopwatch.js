/** Milliseconds a stage, and word of which one runs. */

export class Stopwatch {
  /** `onProgress(stage, done, of)` is called when a stage begins, with numbers if it has steps. */
  constructor(onProgress) {
    this.onProgress = onProgress;
    this.milliseconds = {};
  }

  /** Return what `action` returns; its time is added to the stage's. */
  async time(stage, action) {
    this.onProgress?.(stage);
    const start = performance.now();
    try {
      return await action();
    } finally {
      this.milliseconds[stage] = (this.milliseconds[stage] ?? 0) + performance.now() - start;
    }
  }
}
