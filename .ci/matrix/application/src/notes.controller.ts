import { Controller, Get } from '@nestjs/common';
import { CurrentUser, SessionService } from 'nestjs-latchkey';

@Controller('notes')
export class NotesController {
  constructor(private readonly sessions: SessionService) {}

  @Get()
  async list(@CurrentUser('id') userId: string) {
    return { userId, sessions: (await this.sessions.listForUser(userId)).length };
  }
}
