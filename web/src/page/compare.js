/** The picture: one canvas, or two with a divider that a range input moves. */

/** Shows canvases in `element`. */
export class View {
  constructor(element) {
    this.element = element;
    this.divider = document.createElement("input");
    Object.assign(this.divider, { type: "range", min: 0, max: 100, step: 0.5, value: 50 });
    this.divider.className = "divider";
    this.divider.setAttribute("aria-label", "Divider between left and right picture");
    this.divider.addEventListener("input", () => this.place());
    this.frame = document.createElement("div");
    this.frame.className = "frame";
    element.append(this.frame);
  }

  /** Show one canvas. */
  single(canvas) {
    canvas.className = "";
    this.frame.replaceChildren(canvas);
    this.size(canvas);
  }

  /** Say why there is no picture. */
  words(text) {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    this.frame.replaceChildren(paragraph);
    this.size({ width: 768, height: 256 });
  }

  /** Show two canvases of one size, each with its name. */
  pair([leftName, left], [rightName, right]) {
    this.frame.replaceChildren(right, left, tag("left", leftName), tag("right", rightName), this.divider);
    left.className = "over";
    right.className = "";
    this.size(left);
    this.place();
  }

  /** Show actual pixels, one on one, or fit the picture into the page. */
  zoom(actual) {
    this.element.classList.toggle("actual", actual);
  }

  size(canvas) {
    this.frame.style.setProperty("--width", `${canvas.width}px`);
    this.frame.style.setProperty("--ratio", `${canvas.width} / ${canvas.height}`);
    this.frame.classList.toggle("tiny", canvas.width < 200);
  }

  place() {
    this.frame.style.setProperty("--at", `${this.divider.value}%`);
  }
}

function tag(side, text) {
  const element = document.createElement("span");
  element.className = `tag ${side}`;
  element.textContent = text;
  return element;
}
