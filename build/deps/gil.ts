// What an extension module's file says about the GIL, without running it: for targets that cannot be run here. The
// import in the sandbox (imports.ts) is the proof; this reads what the compiler left behind.

/** `declared`: it can do without the GIL. `silent`: it does not say so, and turns the GIL on when it is imported. */
export type GilDeclaration = 'declared' | 'silent';

/**
 * {Py_mod_gil, Py_MOD_GIL_NOT_USED} as an element of a PyModuleDef_Slot array: an int of 4, padding, a pointer of 1
 * (Include/moduleobject.h, 3.13 and 3.14). Neither is an address, so no relocation changes them.
 */
const slot = Buffer.from('04000000000000000100000000000000', 'hex');
/** What modules with single-phase initialisation call (pybind11, older PyO3). */
const call = Buffer.from('\0PyUnstable_Module_SetGIL\0');
const initialiser = Buffer.from('\0PyInit_');

/** @returns undefined for a file that is no extension module */
export function gilDeclaration(bytes: Uint8Array): GilDeclaration | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.readUInt32BE(0) !== 0x7f454c46 || !file.includes(initialiser)) return undefined;
  if (file.includes(call)) return 'declared';
  for (let at = file.indexOf(slot); at !== -1; at = file.indexOf(slot, at + 1)) if (at % 8 === 0) return 'declared';
  return 'silent';
}
