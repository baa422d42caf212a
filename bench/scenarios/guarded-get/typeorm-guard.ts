import { Injectable, UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { getRepositoryToken, InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import cookieParser from 'cookie-parser';
import { hash, randomBytes } from 'node:crypto';
import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn, type Repository } from 'typeorm';
import type { Start } from '../../harness/contender.js';
import {
  listen,
  MeController,
  POOL_SIZE,
  type GuardedArgs,
  type GuardedHello,
  type RequestWithUser,
} from './guarded-app.js';

@Entity('users')
class User {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') email!: string;
  @Column('timestamptz', { name: 'disabled_at', nullable: true }) disabledAt!: Date | null;
  @Column('timestamptz', { name: 'tokens_invalidated_after', nullable: true }) tokensInvalidatedAfter!: Date | null;
}

@Entity('sessions')
class Session {
  @PrimaryColumn('text') id!: string;
  @ManyToOne(() => User) @JoinColumn({ name: 'user_id' }) user!: User;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt!: Date;
  @Column('timestamptz', { name: 'absolute_expires_at' }) absoluteExpiresAt!: Date;
  @Column('timestamptz', { name: 'authenticated_at' }) authenticatedAt!: Date;
}

interface RequestWithCookies extends RequestWithUser {
  cookies?: Record<string, string | undefined>;
  raw?: RequestWithCookies;
}

const DAY = 86_400_000;
const idOf = (token: string) => hash('sha256', Buffer.from(token, 'base64url'), 'hex');

@Injectable()
class RepositoryGuard implements CanActivate {
  constructor(@InjectRepository(Session) private readonly sessions: Repository<Session>) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<RequestWithCookies>();
    // On Fastify the middleware works on the request of Node.
    const token = (request.raw ?? request).cookies?.['session'];
    const session = token && (await this.sessions.findOne({ where: { id: idOf(token) }, relations: { user: true } }));
    const now = new Date();
    if (!session || session.expiresAt <= now || session.absoluteExpiresAt <= now || session.user.disabledAt) {
      throw new UnauthorizedException();
    }
    request.user = session.user;
    return true;
  }
}

/** What most applications begin with: a guard, a repository, and the user as a relation. */
export const repositoryGuard: Start<GuardedArgs, GuardedHello> = async (args) => {
  const { url, app } = await listen(
    {
      imports: [
        TypeOrmModule.forRoot({
          type: 'postgres',
          url: args.databaseUrl,
          entities: [User, Session],
          poolSize: POOL_SIZE,
        }),
        TypeOrmModule.forFeature([Session]),
      ],
      controllers: [MeController],
      providers: [{ provide: APP_GUARD, useClass: RepositoryGuard }],
    },
    args.platform,
    (application) => void application.use(cookieParser()),
  );
  const repository = app.get<Repository<Session>>(getRepositoryToken(Session));
  const sessions = [];
  const now = Date.now();
  for (const user of args.makesSessions ? args.users : []) {
    const token = randomBytes(32).toString('base64url');
    await repository.insert({
      id: idOf(token),
      user: { id: user.id },
      createdAt: new Date(now),
      expiresAt: new Date(now + 30 * DAY),
      absoluteExpiresAt: new Date(now + 90 * DAY),
      authenticatedAt: new Date(now),
    });
    sessions.push({ headers: { cookie: `session=${token}` }, user });
  }
  return { hello: { url, sessions }, close: () => app.close() };
};
