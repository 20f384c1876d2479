/**
 * The errors that files, bundles and the runtime can cause; the names are those of Python's classes.
 *
 * A message says what, where and what to do. A wrong argument from code is a TypeError or RangeError.
 */

/** Base of every error that a user can cause or mend. */
export class EdgeaeError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** An .eae file breaks docs/FORMAT.md. */
export class ContainerError extends EdgeaeError {}

/** The file was written by a newer version of the format. */
export class VersionError extends ContainerError {}

/** Decoded symbols differ from the checksum stored with them. */
export class DesyncError extends ContainerError {}

/** A graph cannot run here, or does not have the expected inputs and outputs. */
export class GraphError extends EdgeaeError {}

/** A bundle is missing, changed, or not the one that a file was made with. */
export class BundleError extends EdgeaeError {}

/** A picture is unreadable, unsupported or larger than allowed. */
export class ImageError extends EdgeaeError {}
