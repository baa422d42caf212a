import { Module } from '@nestjs/common';
import { Background } from './background.js';
import { DownloadsController } from './downloads.controller.js';
import { ConsoleMailer, Mailer } from './mailer.js';
import { PasswordResetController } from './password-reset.controller.js';
import { TwoFactorController } from './two-factor.controller.js';

/** What an application builds on single-use tokens and limits: copy what you need. */
@Module({
  controllers: [PasswordResetController, TwoFactorController, DownloadsController],
  providers: [Background, { provide: Mailer, useClass: ConsoleMailer }],
})
export class RecipesModule {}
