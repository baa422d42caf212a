import { openConnections } from '../contract/session-connections.contract.js';

openConnections('express');
