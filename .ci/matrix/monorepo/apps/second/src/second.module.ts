import { AccountsModule } from '@app/auth';
import { Module } from '@nestjs/common';

@Module({ imports: [AccountsModule] })
export class SecondModule {}
