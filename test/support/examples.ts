import { page } from './docs.js';

/** The code of every `@example` in the doc comments of a source file. */
export function examplesOf(source: string): string[] {
  return [...source.matchAll(/^( *)\* @example\n\1\* ```ts\n((?:\1\*.*\n)*?)\1\* ```/gm)].map(([, , lines]) =>
    lines!.replaceAll(/^ *\* ?/gm, ''),
  );
}

/**
 * The example as a file of its own: imports in front, an application around it. What is not a declaration goes into a
 * function; what begins with a decorator and is no class, into a controller.
 */
export function exampleProgram(code: string): string {
  const around = code.includes('class AppModule') ? '' : 'declare class AppModule {}';
  const imports = `${OURS}\n${OTHERS}\n${APPLICATION}\n${around}\n`;
  if (/^(?:export |declare module )/m.test(code)) return `${imports}${code}\nexport {};\n`;
  if (code.startsWith('@')) return `${imports}@Controller()\nexport class Example {\n${FIELDS}\n${code}}\n`;
  return `${imports}export async function example() {\n${code}}\n`;
}

/** Every published name. */
const OURS = [
  'index:nestjs-latchkey',
  'testing/index:nestjs-latchkey/testing',
  'engines/redis/index:nestjs-latchkey/redis',
  'openapi/index:nestjs-latchkey/openapi',
  'oidc/providers/index:nestjs-latchkey/providers',
]
  .map((entry) => entry.split(':'))
  .flatMap(([file, name]) =>
    [...page(`src/${file}.ts`).matchAll(/export (type )?\{([^}]*)\} from/g)].map(
      ([, type = '', names]) => `import ${type}{${names}} from '${name}';`,
    ),
  )
  .join('\n');

/** What the examples take from other packages. */
const OTHERS = `
import {
  Body, Catch, ConflictException, Controller, Delete, Get, GoneException, Injectable, Logger, Module, Post, Render, Req,
  Res, Sse, UnauthorizedException, UseGuards, type ArgumentsHost, type CanActivate, type ExceptionFilter,
  type ExecutionContext, type INestApplication, type OnModuleInit,
} from '@nestjs/common';
import { AuthErrorFilter, bcryptPasswords, betterAuthSessions, CleanupService, DefaultPasswordPolicy, expressSessions, importedUserId, NewPasswords, normalizeLogin, Outbox, passportJwt, TokenError, WithoutExtension, type BcryptLibrary, type LegacyPasswords } from 'nestjs-latchkey/engine';
import { aalOf, AllowApiKey, type ApiKey, currentApiKey, CurrentApiKey, dueFactors, EmailCodeService, GERMAN_PAGE_TEXTS, LoginService, PasswordChangeService, SecondFactor, StepUpService } from 'nestjs-latchkey/flows';
import { HealthCheckService } from '@nestjs/terminus';
import { AuthHealthIndicator } from 'nestjs-latchkey/engine';
import { Test } from '@nestjs/testing';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { WebSocketGateway, type OnGatewayInit } from '@nestjs/websockets';
import type { Request, Response } from 'express';
import type { Observable } from 'rxjs';
import type { Server } from 'socket.io';
import request from 'supertest';
import { DataSource, Repository } from 'typeorm';
`;

/** What the application around the examples has. */
const APPLICATION = `
declare const accounts: PostgresUserDirectory;
declare const bcrypt: BcryptLibrary;
declare const cleanup: CleanupService;
declare const codec: JwtCodecService;
declare const dataSource: DataSource;
declare const emailCodes: EmailCodeService;
declare const hasher: PasswordHasher;
declare const limits: RateLimitService;
declare const logins: LoginService;
declare const newPasswords: NewPasswords;
declare const outbox: Outbox;
declare const passwords: PasswordChangeService;
declare const revocation: TokenRevocationService;
declare const sessionService: SessionService;
declare const stepUps: StepUpService;
declare const twoFactor: import('nestjs-latchkey/flows').TwoFactorService;
declare const clock: Clock, secret: string;
declare const agent: ReturnType<typeof request.agent>;
declare const apiKeys: import('nestjs-latchkey/flows').ApiKeyService;
declare const jwtSessions: import('nestjs-latchkey/engine').JwtSessionService;
declare const accountDeletion: import('nestjs-latchkey/flows').AccountDeletionService;
declare const passkeys: import('nestjs-latchkey/flows').PasskeyService;
declare const clientId: string, clientSecret: string, teamId: string, keyId: string, privateKey: string;
declare const identities: import('nestjs-latchkey/flows').IdentityService;
declare const magicLinks: import('nestjs-latchkey/flows').MagicLinkService;
declare const kept: import('nestjs-latchkey/flows').KeptIdentities;
declare const answer: import('nestjs-latchkey/flows').OidcAnswer;
declare const logouts: import('nestjs-latchkey/flows').OidcLogoutService;
declare const logoutToken: string;
declare const oidc: import('nestjs-latchkey/flows').OidcService;
declare const redirectUri: string, query: URLSearchParams;
declare const passkeyLogins: import('nestjs-latchkey/flows').PasskeyLoginService;
declare const response: never;
declare const page: {
  context(): { newCDPSession(page: object): Promise<import('nestjs-latchkey/testing').DevToolsSession> };
  click(selector: string): Promise<void>;
};
declare const resets: import('nestjs-latchkey/flows').PasswordResetService;
declare const registration: import('nestjs-latchkey/flows').RegistrationService;
declare const secondFactors: import('nestjs-latchkey/flows').SecondFactorLoginService;
declare const challenges: readonly string[], code: string;
declare const serialNumberOf: (userId: string) => Promise<string | null>;
declare const claimCode: (userId: string, code: string) => Promise<boolean>;
declare const test: (title: string, run: () => Promise<void>) => void;
declare const emailChanges: import('nestjs-latchkey/flows').EmailChangeService;
declare const tokens: EphemeralTokenService;
declare const transaction: AuthTransaction;
declare const app: INestApplication;
declare const user: AuthUser, ada: AuthUser;
declare const current: Session;
declare const author: string, email: string, password: string, name: string, token: string, ip: string, userAgent: string;
declare const secrets: string[];
declare const assertion: unknown, error: unknown;
declare const isSha512Crypt: (storedHash: string, password: string) => Promise<boolean>;
declare class Note {}
declare class Company { name: string }
declare class Customer { id: number; email: string; passwordHash: string; blockedAt: Date | null }
declare const saml: { verify(assertion: unknown): Promise<AuthUser | null> };
declare class DocumentBuilder { setTitle(title: string): this; build(): object }
declare const SwaggerModule: {
  createDocument(app: INestApplication, config: object): { openapi: string; paths: object };
  setup(path: string, app: INestApplication, document: object): void;
};
declare class ConfigService { getOrThrow<T>(name: string): T }
`;

const FIELDS = `constructor(
  private readonly sessions: HttpSessions,
  private readonly secondFactors: import('nestjs-latchkey/flows').HttpSecondFactors,
  private readonly connections: SessionConnections,
  private readonly notes: { events(): Observable<{ data: string }>; share(to: string): Promise<void> },
  private readonly passkeys: { verify(assertion: unknown): Promise<AuthUser | null> },
) {}`;
