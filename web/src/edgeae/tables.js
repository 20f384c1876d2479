/**
 * Integer frequency tables: docs/FORMAT.md, section 5.1. Two kinds, with the same fields:
 * scale tables have magnitudes and signs apart, channel tables a lowest value for each row.
 */

const ESCAPE_CLASSES = 16;
const MAX_ROWS = 4096;
const COST_UNITS = 2 ** 20; // costs are multiples of 2^-20 bits, as in Python

/** Rows of frequencies, flat, with the table of escape classes as the last row. */
export class Tables {
  /**
   * `rows` are lists of 2..256 frequencies that sum to 2^precision; `minimum` is the value of each
   * row's first symbol, or null for scale tables. RangeError if a row is not as the format says.
   */
  constructor(rows, minimum = null, precision = 14) {
    if (!(precision >= 8 && precision <= 16)) {
      throw new RangeError(`tables: precision ${precision} is not in 8..16 bits`);
    }
    if (!(rows.length >= 1 && rows.length <= MAX_ROWS)) {
      throw new RangeError(`tables: ${rows.length} rows are not in 1..${MAX_ROWS}`);
    }
    rows.forEach((row, number) => checkRow(row, number, precision));
    if (minimum !== null) checkMinimum(minimum, rows.length);
    this.length = rows.length;
    this.precision = precision;
    this.minimum = minimum;
    this.valueLimit = minimum === null ? 32767 : 32000;
    const all = [...rows, escapeFrequencies(precision)];
    const size = all.reduce((sum, row) => sum + row.length, 0);
    this.start = new Int32Array(all.length + 1); // where each row begins in the flat arrays
    this.frequency = new Int32Array(size);
    this.cumulative = new Int32Array(size);
    all.forEach((row, number) => {
      let at = this.start[number];
      let before = 0;
      for (const frequency of row) {
        this.frequency[at] = frequency;
        this.cumulative[at++] = before;
        before += frequency;
      }
      this.start[number + 1] = at;
    });
  }

  /** Return the escape symbol of a row: its last one. */
  escape(row) {
    return this.start[row + 1] - this.start[row] - 1;
  }

  /** Return what a symbol costs in bits, given by its position in the flat arrays. */
  symbolCostBits(position) {
    const exact = this.precision - Math.log2(this.frequency[position]);
    return Math.round(exact * COST_UNITS) / COST_UNITS;
  }
}

/** Return the tables that tables.npz holds under a prefix such as "scale." */
export function tablesFrom(arrays, prefix) {
  const get = (name) => {
    const array = arrays.get(prefix + name);
    if (!array) throw new RangeError(`tables: ${prefix}${name} is missing`);
    return array.data;
  };
  const frequencies = get("frequencies");
  const lengths = get("lengths");
  const rows = [];
  let at = 0;
  for (const length of lengths) rows.push(frequencies.subarray(at, (at += length)));
  if (at !== frequencies.length) {
    throw new RangeError(`tables: lengths do not cover ${frequencies.length} frequencies`);
  }
  const minimum = arrays.has(`${prefix}minimum`) ? get("minimum") : null;
  return new Tables(rows, minimum, get("precision")[0]);
}

/** Return the class of an overflow: floor(log2(u + 1)). */
export function overflowClass(overflow) {
  return 31 - Math.clz32(overflow + 1);
}

function escapeFrequencies(precision) {
  const total = 2 ** precision;
  const row = Array.from({ length: ESCAPE_CLASSES }, (_, i) => Math.max(1, total >> (i + 1)));
  row[0] -= row.reduce((sum, frequency) => sum + frequency, 0) - total;
  return row;
}

function checkRow(row, number, precision) {
  const sum = row.reduce((total, frequency) => total + frequency, 0);
  if (row.length < 2 || row.length > 256 || row.some((f) => !(f >= 1)) || sum !== 2 ** precision) {
    throw new RangeError(
      `tables: row ${number} has ${row.length} frequencies with sum ${sum}; each must be at least 1, ` +
        `the sum ${2 ** precision}`,
    );
  }
}

function checkMinimum(minimum, rows) {
  if (minimum.length !== rows || minimum.some((value) => Math.abs(value) > 256)) {
    throw new RangeError(`tables: minimum must be ${rows} integers within +-256`);
  }
}
