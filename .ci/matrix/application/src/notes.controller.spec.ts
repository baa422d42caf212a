import { Test } from '@nestjs/testing';
import { SessionService } from 'nestjs-latchkey';
import { NotesController } from './notes.controller.js';

describe('NotesController', () => {
  it('lists the sessions of the user', async () => {
    const module = await Test.createTestingModule({
      controllers: [NotesController],
      providers: [{ provide: SessionService, useValue: { listForUser: () => Promise.resolve([{}]) } }],
    }).compile();
    expect(await module.get(NotesController).list('ada')).toEqual({ userId: 'ada', sessions: 1 });
  });
});
