/* oxlint-disable no-console */
import {
  Controller,
  Get,
  Header,
  Injectable,
  Module,
  NotFoundException,
  Redirect,
  type DynamicModule,
} from '@nestjs/common';
import { AuthModule, Clock, days, Mailer, Public, type Mail } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import { AppModule, NotesController } from './app.module.js';
import { RecipesModule } from './recipes/recipes.module.js';

const KEPT = 50;

/** Prints the mail instead of sending it, and keeps the latest for `GET /demo/mail`. Not for an application of yours. */
@Injectable()
export class DemoMailer extends Mailer {
  readonly kept: Mail[] = [];

  override async send(mail: Mail): Promise<void> {
    this.kept.unshift(mail);
    this.kept.splice(KEPT);
    console.log(`\n--- mail to ${mail.to.address}: ${mail.subject}\n${mail.text}---`);
  }
}

/** The way in. */
@Public()
@Controller()
export class DemoHomeController {
  @Redirect('/auth/p/account')
  @Get()
  home() {}
}

/** The mailbox of every account of the demo. */
@Public()
@Controller('demo')
export class DemoMailController {
  constructor(private readonly mailer: DemoMailer) {}

  /** The latest first. */
  @Get('mail')
  mail() {
    return this.mailer.kept;
  }
}

/** The authenticator of an account of the demo. */
export interface HeldAuthenticator {
  /** In base32. */
  readonly secret: string;
  /** `otpauth://…`. */
  readonly uri: string;
  readonly backupCode: string;
}

/** Stands for the phone of an account. Not for an application of yours: whoever reaches it has the second factor. */
@Injectable()
export class DemoAuthenticator {
  private held: HeldAuthenticator | undefined;

  constructor(private readonly clock: Clock) {}

  hold(held: HeldAuthenticator): void {
    this.held = held;
  }

  get current(): HeldAuthenticator {
    if (!this.held) throw new NotFoundException();
    return this.held;
  }

  /** The code that it shows now. */
  code(): string {
    return totpOf(this.current.secret, this.clock);
  }
}

/** The phone of the account with two factors. */
@Public()
@Controller('demo')
export class DemoCodeController {
  constructor(private readonly authenticator: DemoAuthenticator) {}

  @Header('Cache-Control', 'no-store')
  @Get('code')
  code() {
    return this.authenticator.code();
  }
}

/** The README's own: TypeORM takes a second one of the same name for a mistake. */
const [database] = Reflect.getMetadata('imports', AppModule) as DynamicModule[];

/** The README's program with the flows, which send mail, and the recipes. */
@Module({
  imports: [
    database!,
    AuthModule.forRoot({
      secrets: [process.env['AUTH_SECRET']!],
      routes: { path: 'auth' },
      baseUrl: process.env['BASE_URL'] ?? `http://localhost:${process.env['PORT'] ?? 3000}`,
      mailer: DemoMailer,
      mail: { site: 'Notes' },
      flows: {
        registration: {},
        passwordReset: {},
        passwordChange: {},
        emailChange: {},
        accountDeletion: {},
        stepUp: {},
        twoFactor: { totp: {}, backupCodes: {}, emailCode: {}, trustedBrowsers: days(30) },
        passkeys: { rpName: 'Notes' },
        apiKeys: { scopes: ['notes:read', 'notes:write'] },
        pages: {},
        admin: {},
      },
      audit: { enabled: true },
    }),
    RecipesModule,
  ],
  controllers: [NotesController, DemoHomeController, DemoMailController, DemoCodeController],
  providers: [DemoAuthenticator],
})
export class DemoModule {}
