/**
 * Every text of the pages, in English unless you write another. `{name}` stands for what is put in: keep it. They are
 * texts, not HTML.
 */
export class PageTexts {
  /** The language, as `<html lang>` has it (BCP 47); dates are written in it. */
  lang: string = 'en';

  skip: string = 'Skip to the content';
  email: string = 'E-mail address';
  password: string = 'Password';
  newPassword: string = 'New password';
  currentPassword: string = 'Current password';
  code: string = 'Code';
  continue: string = 'Continue';
  cancel: string = 'Cancel';
  back: string = 'Back';
  remove: string = 'Remove';
  save: string = 'Save';

  signIn: string = 'Sign in';
  signInByPasskey: string = 'Sign in with a passkey';
  signInAgain: string = 'Sign in to continue.';
  signOut: string = 'Sign out';
  signOutEverywhere: string = 'Sign out everywhere';
  signedOut: string = 'You have signed out.';
  remember: string = 'Stay signed in on this device';
  or: string = 'or';
  forgotten: string = 'Forgot your password?';
  noAccount: string = 'No account yet?';
  hasAccount: string = 'Already have an account?';

  twoFactor: string = 'Confirm that it is you';
  method: string = 'How would you like to confirm?';
  methodTotp: string = 'Code from your authenticator app';
  methodBackupCode: string = 'A backup code';
  methodEmailCode: string = 'Code by e-mail';
  methodPasskey: string = 'Passkey';
  methodPassword: string = 'Your password';
  methodOther: string = 'Code ({method})';
  sendCode: string = 'Send me a code';
  codeSent: string = 'A code is on its way to your mailbox.';
  usePasskey: string = 'Use a passkey';
  trustBrowser: string = 'Do not ask again in this browser';
  noMethod: string = 'Your account has no way to confirm this yet. Add a second factor first.';

  register: string = 'Create an account';
  registrationSent: string = 'We have sent a mail to that address. Open its link, or type its code here.';
  confirm: string = 'Confirm your address';
  confirmHint: string = 'Type the code from the mail, or paste its whole link.';
  confirmPassword: string = 'Password of the new account';
  confirmPasswordHint: string = 'Only if you are asked for it: in another browser than the one you started in.';
  resend: string = 'Send another mail';
  linkOrCode: string = 'Code or link from the mail';

  forgot: string = 'Reset your password';
  forgotHint: string = 'We send a link to the address of your account.';
  forgotSent: string = 'If there is an account with that address, a mail is on its way.';
  sendLink: string = 'Send the link';
  reset: string = 'Choose a new password';
  link: string = 'Link from the mail';
  linkHint: string = 'Paste the whole link from the mail.';
  resetDone: string = 'Your password has been changed. Sign in with it.';
  passwordHint: string = 'Long is better than complicated: several words are fine.';

  confirmEmail: string = 'Confirm your new address';
  confirmEmailDone: string = 'Your address has been changed.';
  revertEmail: string = 'Take back the change of address';
  revertEmailHint: string = 'Your old address comes back, and everybody is signed out.';
  revertEmailDone: string = 'Your old address is back. We have mailed you a link to choose a new password.';

  revertFactor: string = 'Remove what was added';
  revertFactorHint: string = 'Every second factor and passkey is removed, and everybody is signed out.';
  revertFactorDone: string = 'It has been removed. We have mailed you a link to choose a new password.';

  magicLink: string = 'Sign in with a link by e-mail';
  magicLinkHint: string = 'We mail you a link and a code. You need no password.';
  magicLinkSent: string =
    'If there is an account with that address, a mail is on its way. Open its link in this browser, or type its code.';

  account: string = 'Your account';
  accountOf: string = 'Signed in as';
  security: string = 'Security';
  devices: string = 'Where you are signed in';
  thisDevice: string = 'This one';
  lastSeen: string = 'Last used {when}';
  endSession: string = 'Sign out {device}';
  sessionEnded: string = 'That device has been signed out.';
  unknownDevice: string = 'Unknown device';
  browserOnSystem: string = '{browser} on {system}';
  events: string = 'Recent activity';
  noEvents: string = 'Nothing yet.';
  eventSignIn: string = 'Signed in';
  eventPassword: string = 'Password changed';
  eventPasswordDisabled: string = 'Password disabled after too many wrong tries';
  eventEmail: string = 'E-mail address changed';
  eventEmailReverted: string = 'Change of the e-mail address taken back';
  eventFactorAdded: string = 'Second factor or passkey added';
  eventFactorReverted: string = 'Second factors removed by the link in the mail';
  eventFactorRemoved: string = 'Second factor or passkey removed';
  eventIdentityLinked: string = 'Sign-in with another service linked';
  eventIdentityUnlinked: string = 'Sign-in with another service removed';
  eventApiKeyCreated: string = 'API key made';
  eventApiKeyRevoked: string = 'API key revoked';
  eventReuse: string = 'A stolen session may have been used, and was ended';

  changePassword: string = 'Change your password';
  changePasswordHint: string = 'Every other device is signed out.';
  passwordChanged: string = 'Your password has been changed, and every other device has been signed out.';
  changeEmail: string = 'Change your e-mail address';
  changeEmailSent: string = 'If the address is free, a mail with a link is on its way to it.';
  newEmail: string = 'New e-mail address';

  authenticator: string = 'Authenticator app';
  authenticatorOn: string = 'On';
  authenticatorOff: string = 'Off';
  setUp: string = 'Set up';
  setUpHint: string =
    'Scan the picture with your authenticator app, or type the key into it. Then type the code that it shows.';
  setUpRequired: string = 'Your account needs a second factor before you can go on.';
  setUpKey: string = 'Key: {key}';
  qr: string = 'QR code for your authenticator app';
  turnOn: string = 'Turn on';
  turnOff: string = 'Turn off';
  factorRemoved: string = 'The authenticator app has been removed, and every other device has been signed out.';
  backupCodes: string = 'Backup codes';
  backupCodesHint: string =
    'Each works once, when you have no other way. Keep them where you find them without this device: they are shown only now.';
  backupCodesLeft: string = '{count} left';
  backupCodesNew: string = 'Make new codes';
  backupCodesVoid: string = 'The codes that you have now stop working.';
  trustedBrowsers: string = 'Trusted browsers';
  trustedBrowserCount: string = 'Browsers in which the second step is left out: {count}';
  forgetBrowsers: string = 'Ask in all of them again';
  browsersForgotten: string = 'The second step is due in every browser again.';
  copy: string = 'Copy';
  copied: string = 'Copied.';

  passkeys: string = 'Passkeys';
  passkeyHint: string = 'Sign in with your fingerprint, face, screen lock or security key instead of a password.';
  passkeyName: string = 'Name of the passkey';
  addPasskey: string = 'Add a passkey';
  noPasskeys: string = 'You have no passkeys.';
  passkeyRemoved: string = 'The passkey has been removed.';
  passkeyRenamed: string = 'The passkey has its new name.';
  passkeyNoScript: string = 'Passkeys need JavaScript.';
  passkeyFailed: string = 'That did not work. Try again, or use another way.';
  created: string = 'Added {when}';
  removeNamed: string = 'Remove {name}';
  rename: string = 'Rename';
  renameNamed: string = 'Rename {name}';

  identities: string = 'Sign-ins with other services';
  noIdentities: string = 'None is linked with your account.';
  addIdentity: string = 'Link another';
  signInWith: string = 'Sign in with {provider}';
  linkWith: string = 'Link {provider}';
  keptIdentities: string = 'You have just signed in there';
  identityLinked: string = 'It is linked: you can sign in that way from now on.';
  identityRemoved: string = 'It is no longer linked, and all other devices have been signed out.';
  leaving: string = 'One moment';
  goToProvider: string = 'Go on to the other page';

  apiKeys: string = 'API keys';
  apiKeyHint: string = 'For programs that act in your name.';
  apiKeyName: string = 'Name of the key';
  apiKeyScopes: string = 'What it may do';
  apiKeyDays: string = 'Days until it expires';
  addApiKey: string = 'Make a key';
  newApiKey: string = 'Your new key. Copy it: it is shown only now.';
  noApiKeys: string = 'You have no API keys.';
  apiKeyRevoked: string = 'The key has been revoked.';
  expires: string = 'Expires {when}';

  deleteAccount: string = 'Delete your account';
  deleteAccountHint: string = 'Everything that belongs to it is lost, for good.';
  deleteAccountSure: string = 'Yes, delete my account';
  accountDeleted: string = 'Your account has been deleted.';

  admin: string = 'Administration';
  adminUsers: string = 'Accounts';
  adminUser: string = 'Account';
  adminSearch: string = 'Search';
  adminNoUsers: string = 'There is no such account.';
  adminId: string = 'Id';
  adminRoles: string = 'Roles';
  adminVerified: string = 'Address confirmed';
  adminDisabled: string = 'Disabled';
  adminNone: string = '–';
  adminDisable: string = 'Disable';
  adminEnable: string = 'Enable';
  adminEndSessions: string = 'Sign out everywhere';
  adminDone: string = 'That has been done.';
  adminNoSessions: string = 'Nowhere.';
  adminHealth: string = 'Health';
  adminEvents: string = 'Events';
  adminNoAudit: string = 'Events are not kept: audit.enabled is off.';
  adminLimits: string = 'Used up limits';
  adminNoLimits: string = 'Nobody is refused right now.';
  adminMoreLimits: string = 'There may be others: not all are looked at.';
  adminUntil: string = 'refused until {when}';
  more: string = 'More';

  errorTitle: string = 'Something is not right';
  errorCredentials: string = 'Wrong e-mail address or password.';
  errorPassword: string = 'Wrong password.';
  errorCode: string = 'The code is wrong, or it took too long. Try again.';
  errorLink: string = 'The link or code is not valid, or has expired. Ask for a new one.';
  errorTooMany: string = 'Too many tries. Try again later.';
  errorRateLimited: string = 'Too many tries. Wait {minutes} min and try again.';
  errorEmail: string = 'Type one e-mail address, such as ada@example.com.';
  errorMissing: string = 'Fill this in.';
  errorField: string = 'This cannot be taken as it is.';
  errorTooShort: string = 'Use a longer password.';
  errorTooLong: string = 'Use a shorter password.';
  errorCommon: string = 'This password is too easy to guess.';
  errorBreached: string = 'This password has leaked elsewhere. Choose another one.';
  errorContext: string = 'Do not use your address or the name of this site in the password.';
  errorOrigin: string = 'This form was sent from another site. Open the page here and try again.';
  errorUnavailable: string = 'The service does not answer right now. Nothing was changed: try again in a moment.';
  errorLastMethod: string = 'It is the only way to sign in to your account.';
  errorLimit: string = 'You have as many as there can be. Remove one first.';
  errorLoginExpired: string = 'That took too long. Try again.';
  errorProviderRefused: string = 'You were not signed in that way. Try again, or sign in another way.';
  errorProviderFailed: string = 'The other service does not answer as it should. Try again later.';
  errorAccountExists: string =
    'You have an account already. Sign in as before, then link the other service in your account.';
  errorNoAccount: string = 'There is no account for this sign-in yet.';
  errorEmailNotVerified: string = 'The other service has not confirmed your e-mail address.';
  errorIdentityInUse: string = 'That is linked with an account already.';
  errorNotFound: string = 'There is no such thing any more.';
  errorForbidden: string = 'You may not do this.';
}
