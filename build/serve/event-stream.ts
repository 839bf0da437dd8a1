// Frames of AWS's event stream encoding (application/vnd.amazon.eventstream): lengths, typed headers, payload, two
// checksums. Only strings are needed as header values. Source: Smithy, "Amazon Event Stream Specification".
import { crc32 } from 'node:zlib';

/** The header value type "string" of the specification. */
const stringType = 7;

/** One message. Header names and values are UTF-8. */
export function encodeMessage(headers: Readonly<Record<string, string>>, payload: Uint8Array): Buffer {
  const encoded = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const bytes = Buffer.from(value);
      const head = Buffer.alloc(1 + Buffer.byteLength(name) + 3);
      head.writeUInt8(Buffer.byteLength(name), 0);
      head.write(name, 1);
      head.writeUInt8(stringType, head.length - 3);
      head.writeUInt16BE(bytes.length, head.length - 2);
      return Buffer.concat([head, bytes]);
    }),
  );
  const frame = Buffer.alloc(12 + encoded.length + payload.length + 4);
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(encoded.length, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  encoded.copy(frame, 12);
  frame.set(payload, 12 + encoded.length);
  frame.writeUInt32BE(crc32(frame.subarray(0, frame.length - 4)), frame.length - 4);
  return frame;
}

/** An event of a stream, with the name the API's model gives it. */
export function encodeEvent(type: string, contentType: string, payload: Uint8Array): Buffer {
  return encodeMessage({ ':event-type': type, ':content-type': contentType, ':message-type': 'event' }, payload);
}
