// Reads AWS event stream messages as they arrive in a browser. Checksums are not verified: the bytes come from the same
// machine over TCP. Source: Smithy, "Amazon Event Stream Specification".

export interface Message {
  readonly type: string;
  readonly payload: Uint8Array;
}

/** Yields whole messages of a response body, each as soon as it is there. */
export async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<Message, void> {
  let pending = new Uint8Array(0);
  const reader = body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(pending.length + value.length);
    joined.set(pending);
    joined.set(value, pending.length);
    pending = joined;
    while (pending.length >= 4) {
      const total = view(pending).getUint32(0);
      if (pending.length < total) break;
      yield decode(pending.subarray(0, total));
      pending = pending.slice(total);
    }
  }
}

function decode(frame: Uint8Array): Message {
  const headersEnd = 12 + view(frame).getUint32(4);
  let type = '';
  for (let at = 12; at < headersEnd; ) {
    const nameLength = frame[at]!;
    const name = text(frame.subarray(at + 1, at + 1 + nameLength));
    // All headers here are strings: type 7, two bytes of length.
    const valueAt = at + 1 + nameLength + 3;
    const length = view(frame).getUint16(valueAt - 2);
    if (name === ':event-type') type = text(frame.subarray(valueAt, valueAt + length));
    at = valueAt + length;
  }
  return { type, payload: frame.subarray(headersEnd, frame.length - 4) };
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
