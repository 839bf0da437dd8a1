// A tree like python.org's ftp/python/ on the test's file server, with Apache-like or nginx-like listings.
import { type FileServer, type Reply, whole } from './server.ts';

export interface TestUpstream {
  /** Address of the tree. */
  readonly url: string;
  /** Puts files into a release's folder, replacing what the folder listed before. */
  release(folder: string, files: Readonly<Record<string, Buffer | string | Reply>>): void;
}

export function serveUpstream(server: FileServer): TestUpstream {
  const folders: string[] = [];
  const list = (path: string, names: readonly string[]) => server.serve(path, whole(Buffer.from(listing(path, names))));
  return {
    url: list('/ftp/python/', folders),
    release(folder, files) {
      if (!folders.includes(`${folder}/`)) folders.push(`${folder}/`);
      list('/ftp/python/', ['3.13', '2.0.1/', 'README', 'pgo/', ...folders]);
      for (const [name, content] of Object.entries(files)) {
        const reply = typeof content === 'function' ? content : whole(Buffer.from(content));
        server.serve(`/ftp/python/${folder}/${name}`, reply);
      }
      list(`/ftp/python/${folder}/`, ['amd64/', ...Object.keys(files)]);
    },
  };
}

/** As nginx writes it, which is what python.org shows. */
function listing(path: string, names: readonly string[]): string {
  const rows = names.map((name) => `<a href="${encodeURI(name)}">${name}</a>      01-Jan-2026 00:00      -`);
  return `<html>\r\n<head><title>Index of ${path}</title></head>\r\n<body>\r\n<h1>Index of ${path}</h1><hr><pre><a href="../">../</a>\r\n${rows.join('\r\n')}\r\n</pre><hr></body>\r\n</html>\r\n`;
}
