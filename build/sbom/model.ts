// The words of this room as types: what an artifact is made of. Plain data: a layer carries it in build.json, and both
// SBOM formats are written from it. Knows no format.

/** Why a component is in the artifact. */
export type Role =
  /** CPython itself: executable and standard library. */
  | 'interpreter'
  /** Our Runtime API client, linked into the executable. */
  | 'bootstrap'
  /** A C library linked statically into the executable. */
  | 'linked'
  /** Somebody else's code that CPython's source release brings along. */
  | 'bundled'
  /** An installed Python distribution. */
  | 'wheel';

export interface Component {
  /** Unique in one artifact: "openssl", "cpython/expat", "wheel/boto3". */
  readonly ref: string;
  readonly role: Role;
  readonly name: string;
  /** Absent when nobody knows it. */
  readonly version?: string;
  /** SPDX expression. Absent when it is not known. */
  readonly licence?: string;
  /** What the component says of its licence where that is no SPDX expression. */
  readonly licenceWords?: string;
  readonly purl: string;
  /** CPE 2.3, formatted string. Absent for what vulnerability databases do not list, and without a version. */
  readonly cpe?: string;
  /** Who made it: an organisation's name. */
  readonly supplier?: string;
  /** The file it came from, of a wheel the wheel: sha256, and where it was published if that is known. */
  readonly source?: { readonly url?: string; readonly sha256: string };
  /** Licence texts, as paths below the interpreter's folder (lang/ in a layer). */
  readonly texts: readonly string[];
  /** One sentence about where it came from, when the fields above do not say it. */
  readonly note?: string;
}

/** The folder of licence texts, below the interpreter's folder. */
export const noticesFolder = 'share/licenses';

/** A file that is published, and what identifies it: the zip's own sha256, the image manifest's. */
export interface Artifact {
  readonly kind: 'layer' | 'image';
  /** Its name beside the statements about it: "layer.zip". */
  readonly file: string;
  readonly sha256: string;
  /** The interpreter's folder in it: "lang". Paths of components are below it. */
  readonly home: string;
}

/** The one program of an artifact. */
export interface Program {
  /** Below the interpreter's folder: "bin/python3.13t". */
  readonly path: string;
  readonly sha256: string;
}
