import { randomUUID } from 'node:crypto';
import type { Duration } from '../../common/duration.js';
import {
  RemoteInvalidationChannel,
  type Subscription,
  type SubscriptionEvents,
} from '../../invalidation/remote-invalidation-channel.js';
import type { RedisConnection } from './redis-connection.js';

const CONNECT_TIMEOUT = 5_000;

/**
 * Pub/sub on one connection of its own. The scripts that change sessions publish that themselves, so that no change
 * goes without its message. On a cluster, a message from one master reaches the listener's node over a connection
 * between the two nodes, so a ping is sent through every master, and counts once all of them have come back. While a
 * master is down, none does.
 */
export class RedisInvalidationChannel extends RemoteInvalidationChannel {
  constructor(
    private readonly redis: RedisConnection,
    maxStaleness: Duration,
  ) {
    super(maxStaleness, 'Is Redis running, and every master of the cluster?');
  }

  /** The nodes of a cluster drop messages to each other while the connection between them is down. */
  override get mayLoseMessages(): boolean {
    return this.redis.isCluster;
  }

  protected override async send(message: string, sent: () => void): Promise<void> {
    const [node] = await this.redis.nodes();
    await this.redis.run('publish', () => node!.publish(this.redis.channel, message));
    sent();
  }

  protected override async connect({ message, pong, lost }: SubscriptionEvents): Promise<Subscription> {
    await this.redis.ready();
    const nodes = await this.redis.nodes();
    const own = `${this.redis.channel}:${randomUUID()}`;
    const chosen = nodes[Math.floor(Math.random() * nodes.length)]!;
    // A connection of our own that does not reconnect by itself: it could not tell what it missed.
    const socket = { ...chosen.options?.socket, reconnectStrategy: false };
    const listener = chosen.duplicate({ socket });
    let closed = false;
    const close = () => {
      closed = true;
      if (listener.isOpen) listener.destroy();
    };
    listener.on('error', (error) => closed || lost(error));
    listener.on('end', () => closed || lost(new Error('the connection has ended')));
    let round = { nonce: '', missing: 0 };
    try {
      await this.redis.run(
        'listen',
        async () => {
          await listener.connect();
          await listener.subscribe([this.redis.channel, own], (payload, channel) => {
            if (channel !== own) return message(payload);
            if (payload === round.nonce && --round.missing === 0) pong(payload);
          });
        },
        CONNECT_TIMEOUT,
      );
    } catch (error) {
      close();
      throw error;
    }
    const ping = async (nonce: string) => {
      const masters = await this.redis.nodes();
      round = { nonce, missing: masters.length };
      await this.redis.run('ping', () => Promise.all(masters.map((master) => master.publish(own, nonce))));
    };
    return { ping, close };
  }
}
