// A registry of a few images that misbehaves on request: `rules` see every request first and may answer in its place.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { mediaTypes } from '../../../build/registry/oci.ts';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** Answers and returns true, or returns false to let the registry answer. */
export type Rule = (request: IncomingMessage, response: ServerResponse, seen: readonly Seen[]) => boolean;

export interface ScriptedRegistry extends AsyncDisposable {
  /** "127.0.0.1:12345" */
  readonly host: string;
  readonly seen: Seen[];
  rules: Rule[];
}

export const digestOf = (bytes: Buffer | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface SampleImage {
  readonly manifest: Buffer;
  readonly config: Buffer;
  /** Compressed. */
  readonly layer: Buffer;
  readonly mediaType: string;
}

/** An image of one layer, which holds what the caller says, as bytes of a tar. */
export function sampleImage(
  tar: Buffer,
  {
    architecture = process.arch === 'arm64' ? 'arm64' : 'amd64',
    os = 'linux',
    layerType = mediaTypes.oci.layer as string,
    compress = (bytes: Buffer): Buffer => gzipSync(bytes),
    more = {},
  } = {},
): SampleImage {
  const layer = compress(tar);
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os,
      config: { Env: ['PATH=/usr/bin:/bin', 'BASE=yes'], Cmd: ['sh'], Labels: { vendor: 'test' } },
      rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
      history: [{ created: '2026-01-01T00:00:00Z', created_by: 'test' }],
      ...more,
    }),
  );
  const descriptor = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.oci.manifest,
      config: descriptor(mediaTypes.oci.config, config),
      layers: [descriptor(layerType, layer)],
    }),
  );
  return { manifest, config, layer, mediaType: mediaTypes.oci.manifest };
}

/** Serves the repository "base" with these manifests (by tag; all by digest) and blobs. */
export async function scriptedRegistry(
  manifests: Readonly<Record<string, { bytes: Buffer; mediaType: string }>>,
  blobs: readonly Buffer[],
): Promise<ScriptedRegistry> {
  const seen: Seen[] = [];
  const byDigest = new Map(Object.values(manifests).map((one) => [digestOf(one.bytes), one]));
  const blobsByDigest = new Map(blobs.map((bytes) => [digestOf(bytes), bytes]));
  const made: { rules: Rule[] } = { rules: [] };
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, authorization: headers.authorization, range: headers.range });
    if (made.rules.some((rule) => rule(request, response, seen))) return;
    const manifest = /^\/v2\/base\/manifests\/(.+)$/.exec(url)?.[1];
    const found = manifest === undefined ? undefined : (manifests[manifest] ?? byDigest.get(manifest));
    const blob = blobsByDigest.get(/^\/v2\/base\/blobs\/(.+)$/.exec(url)?.[1] ?? '');
    if (url === '/v2/') response.end('{}');
    else if (found)
      response
        .writeHead(200, { 'content-type': found.mediaType, 'docker-content-digest': digestOf(found.bytes) })
        .end(found.bytes);
    else if (blob) {
      const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
      const partial = start > 0 ? { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` } : {};
      response
        .writeHead(start > 0 ? 206 : 200, { 'content-length': blob.length - start, ...partial })
        .end(blob.subarray(start));
    } else response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return Object.assign(made, {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  });
}
