const NOTIFICATION = 'A'.charCodeAt(0);
const REFUSED = 'N'.charCodeAt(0);
const TYPE_AND_LENGTH = 5;
const REQUEST_LENGTH = 8;
const ENCRYPTION_REQUESTS = new Set([80_877_103, 80_877_104]);

/**
 * Follows one PostgreSQL connection, so that messages of the server can be left out wherever the chunks are cut. A
 * message is a byte of type and a length that counts itself; only the answer to a request for encryption (SSL, GSSAPI),
 * with which a client may begin, is a single byte.
 */
export class BackendMessages {
  private head: Buffer = Buffer.alloc(0);
  private inHead = true;
  private bareAnswers = 0;
  private encrypted = false;
  private pending: Buffer = Buffer.alloc(0);
  private left = 0;
  private dropped = false;

  constructor(private readonly swallows: () => boolean) {}

  /** What the client sends; all that matters of it is how it begins. */
  sent(chunk: Buffer): void {
    if (!this.inHead) return;
    this.head = Buffer.concat([this.head, chunk]);
    while (this.inHead && this.head.length >= REQUEST_LENGTH) {
      this.inHead = this.head.readInt32BE(0) === REQUEST_LENGTH && ENCRYPTION_REQUESTS.has(this.head.readInt32BE(4));
      if (this.inHead) this.bareAnswers++;
      this.head = this.head.subarray(REQUEST_LENGTH);
    }
  }

  /** What the server sends; answers what of it the client gets. The first bytes of a message wait for its length. */
  received(chunk: Buffer): Buffer {
    const passed: Buffer[] = [];
    let data = Buffer.concat([this.pending, chunk]);
    this.pending = Buffer.alloc(0);
    while (data.length > 0) {
      const length = this.next(data);
      if (length === 0) {
        this.pending = data;
        break;
      }
      if (!this.dropped) passed.push(data.subarray(0, length));
      data = data.subarray(length);
    }
    return Buffer.concat(passed);
  }

  /** How many of the bytes go one way, all or none; 0: too few to tell. */
  private next(data: Buffer): number {
    if (this.encrypted) return data.length;
    if (this.bareAnswers > 0) {
      this.bareAnswers--;
      this.encrypted = data[0] !== REFUSED;
      return 1;
    }
    if (this.left === 0) {
      if (data.length < TYPE_AND_LENGTH) return 0;
      this.left = 1 + data.readInt32BE(1);
      this.dropped = data[0] === NOTIFICATION && this.swallows();
    }
    const length = Math.min(this.left, data.length);
    this.left -= length;
    return length;
  }
}
