// Names of the modules that installed files make importable. Pure: paths in, names out.

const identifier = /^[A-Za-z_]\w*$/;
/** Top-level folders that packages install by accident, or that nobody imports. */
const notImported = new Set(['tests', 'test', 'docs', 'doc', 'examples', 'example', 'benchmarks', 'scripts']);
const suffix = /\.(?:py|(?:cpython-\w+-[\w-]+|abi3)\.so|so)$/;

/** "a/b/c.py" -> ["a", "b", "c"]; undefined for what no import statement can name. */
function partsOf(path: string): string[] | undefined {
  if (!suffix.test(path)) return undefined;
  const parts = path.replace(suffix, '').split('/');
  return parts.every((part) => identifier.test(part)) ? parts : undefined;
}

/**
 * What people import of a package: its top-level modules, or, in a namespace without a file of its own, the packages
 * right below.
 * @param paths of the package's files, relative to the folder on sys.path
 */
export function topLevel(paths: readonly string[]): string[] {
  const packages = new Set(paths.flatMap((path) => /^(.+)\/__init__\.py$/.exec(path)?.[1] ?? []));
  const found = new Set<string>();
  for (const path of paths) {
    const parts = partsOf(path);
    if (parts === undefined || notImported.has(parts[0] ?? '')) continue;
    const folders = parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1));
    const first = folders.find((folder) => packages.has(folder.join('/')));
    if (first !== undefined) found.add(first.join('.'));
    else if (parts.length === 1 && parts[0] !== '__init__') found.add(parts[0] as string);
    else if (
      folders.length > 0 &&
      parts.at(-1) !== '__init__' &&
      ![...packages].some((one) => one.startsWith(`${parts[0]}/`))
    )
      found.add(parts.join('.'));
  }
  return [...found].sort();
}

/** The extension modules of a package, by name, with their path. */
export function extensionModules(paths: readonly string[]): { readonly module: string; readonly path: string }[] {
  return paths.flatMap((path) => {
    const parts = path.endsWith('.so') ? partsOf(path) : undefined;
    return parts === undefined ? [] : [{ module: parts.join('.'), path }];
  });
}
