// What a registry demands before it answers: the WWW-Authenticate header (RFC 9110, 11.6.1) read into a value.

export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service?: string; readonly scope?: string };

/**
 * The first challenge of a kind we can meet, Bearer before Basic.
 * @returns undefined when there is none
 */
export function parseChallenge(header: string | readonly string[] | undefined): Challenge | undefined {
  const text = Array.isArray(header) ? header.join(', ') : ((header as string | undefined) ?? '');
  const bearer = /(?:^|[\s,])bearer\s+(.*)$/i.exec(text)?.[1];
  if (bearer !== undefined) {
    const parameters = new Map<string, string>();
    // name=value or name="value, with commas and \" inside"
    for (const [, name = '', quoted, plain] of bearer.matchAll(/(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)) {
      const key = name.toLowerCase();
      if (!parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
    }
    const realm = parameters.get('realm');
    if (realm !== undefined) {
      const service = parameters.get('service');
      const scope = parameters.get('scope');
      return {
        scheme: 'bearer',
        realm,
        ...(service === undefined ? {} : { service }),
        ...(scope === undefined ? {} : { scope }),
      };
    }
  }
  return /(?:^|[\s,])basic\b/i.test(text) ? { scheme: 'basic' } : undefined;
}
