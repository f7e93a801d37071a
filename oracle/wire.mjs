// Protobuf, as much as the messages of the trace processor need: varints, lengths, doubles.

/** Encodes a non-negative integer (number or bigint) as a varint: an array of bytes. */
function varint(value) {
  const out = [];
  let rest = BigInt(value);
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return out;
}

/** A field: an integer becomes a varint, a string or Uint8Array a length-delimited field. */
export function field(id, value) {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
    return Buffer.from([...varint(id * 8), ...varint(Number(value))]);
  }
  const body = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  return Buffer.concat([Buffer.from([...varint(id * 8 + 2), ...varint(body.length)]), body]);
}

/** A message from its fields. */
export const message = (...fields) => Buffer.concat(fields);

/** Walks over a buffer. Integers come out as signed 64-bit bigint. */
export class Reader {
  constructor(bytes) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  get done() {
    return this.at >= this.bytes.length;
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.done) throw new RangeError('cut inside a varint');
      const byte = this.bytes[this.at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return BigInt.asIntN(64, value);
  }

  chunk(length) {
    if (this.at + length > this.bytes.length) throw new RangeError('cut inside a field');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  double() {
    return this.chunk(8).readDoubleLE();
  }

  /** The next field as [id, value]. */
  next() {
    const tag = Number(this.varint());
    const id = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0: return [id, this.varint()];
      case 1: return [id, this.double()];
      case 2: return [id, this.chunk(Number(this.varint()))];
      case 5: return [id, this.chunk(4)];
      default: throw new RangeError(`wire type ${tag % 8}`);
    }
  }
}

/** All fields of a message, as [id, value] pairs. */
export function* fields(bytes) {
  for (const reader = new Reader(bytes); !reader.done;) yield reader.next();
}

/** The last value of one field, or undefined. */
export function last(bytes, wanted) {
  let found;
  for (const [id, value] of fields(bytes)) if (id === wanted) found = value;
  return found;
}
