"""What to do about it: one text per cause, for the operator or the Exchange administrator who reads a reason.

Names in angle brackets are filled in, as far as they are known (`worker/ews/parties.py`).
"""

from typing import Final

BUSY: Final = "Nothing: it is tried again when the server says. If it goes on for hours, lower the profile's limits."
UNAVAILABLE: Final = "Nothing: it is tried again. If it goes on, ask the Exchange administrator to check the server."
BROKE_OFF: Final = "Nothing: the router looks whether it was done. If it repeats, give Exchange support the request id."
CHANGED: Final = "Nothing: somebody else changed or sent the draft; the router looks again."
UNEXPECTED: Final = "Unexpected here: report it with the request id."

RECIPIENTS: Final = "Correct the addresses of the sender and the recipients in the CRM and send a new e-mail."
TOO_MANY_RECIPIENTS: Final = (
    "Send to fewer recipients at once, or raise the limit: Set-Mailbox <sender> -RecipientLimits <number>."
)
TOO_LARGE: Final = (
    "Send smaller attachments or links, or raise the limit: Set-Mailbox <sender> -MaxSendSize; on-premises also "
    "Set-TransportConfig -MaxSendSize and the EWS request limit (maxAllowedContentLength in web.config)."
)
BLOCKED: Final = "The content was blocked by a virus scanner or a policy: check the attachments."
REFUSED: Final = "Exchange refuses something in this e-mail: see the message, correct it in the CRM, send a new e-mail."

SEND_AS: Final = (
    "Grant the right to send as the sender: Add-ADPermission -Identity (Get-Mailbox <sender>).DistinguishedName "
    "-User <account> -AccessRights ExtendedRight -ExtendedRights 'Send As'. It can take an hour to take effect."
)
_SEND_AS_ONLINE: Final = (
    "Grant the right to send as the sender: Add-RecipientPermission <sender> -AccessRights SendAs -Trustee <account>. "
    "It can take an hour to take effect."
)
_SEND_ON_BEHALF: Final = (
    'Grant the right to send on behalf of the sender: Set-Mailbox <sender> -GrantSendOnBehalfTo @{Add="<account>"}. '
    "It can take an hour to take effect."
)
ACCESS: Final = (
    "Grant access to the mailbox: Add-MailboxPermission <mailbox> -User <account> -AccessRights FullAccess "
    "-AutoMapping $false, or let the profile use impersonation."
)
IMPERSONATION: Final = (
    "Let the account impersonate the mailbox: New-ManagementRoleAssignment -Role ApplicationImpersonation -User "
    "<account>. If it may (Get-ManagementRoleAssignment -Role ApplicationImpersonation -RoleAssignee <account>), see "
    "that the mailbox lies in the scope of that. Name the mailbox by its primary SMTP address."
)
_IMPERSONATION_ONLINE: Final = (
    "Let the application act for the mailbox. In Entra, App registrations, <application>, API permissions: Office 365 "
    "Exchange Online, application permission full_access_as_app, with admin consent. Or for some mailboxes only, RBAC "
    "for Applications: New-ServicePrincipal -AppId <application> -ObjectId <id of the enterprise application>, then "
    "New-ManagementRoleAssignment -App <application> -Role 'Application EWS.AccessAsApp' -CustomResourceScope <scope>; "
    "test it: Test-ServicePrincipalAuthorization <application> -Resource <mailbox>. Name the mailbox by its primary "
    "SMTP address."
)
NO_MAILBOX: Final = (
    "Check that the mailbox exists on these servers, has a licence, and is named by its primary SMTP address: "
    "Get-Mailbox <mailbox> | Format-List PrimarySmtpAddress, ServerName, Database. If it has moved elsewhere, give its "
    "entry a profile with that location."
)
QUOTA: Final = "The mailbox is full: empty it, or raise its quota (Set-Mailbox <mailbox> -ProhibitSendQuota)."
SENDING_LIMIT: Final = (
    "The mailbox has reached a sending limit or is blocked from sending: wait, or have it unblocked (Microsoft 365 "
    "Defender, Restricted entities)."
)
FOLDERS: Final = (
    "Drafts or Sent Items of the mailbox are not there, or not for this account. Grant access: Add-MailboxPermission "
    "<mailbox> -User <account> -AccessRights FullAccess -AutoMapping $false; see what there is: Get-MailboxPermission "
    "<mailbox>, Get-MailboxFolderStatistics <mailbox>."
)
EXPIRED: Final = (
    "Set a new password for the account, and put it where the password reference in the profiles points: "
    "<AD account> | Set-ADAccountPassword -Reset."
)
ACCOUNT: Final = (
    "Enable the account the profile signs in with, and let it sign in: <AD account> | Enable-ADAccount -PassThru | "
    "Unlock-ADAccount."
)
SIGN_IN: Final = (
    "Check username and password of the profile or mailbox entry, and that the account is neither locked nor disabled: "
    "<AD account> | Enable-ADAccount -PassThru | Unlock-ADAccount."
)
_SIGN_IN_ONLINE: Final = (
    'Exchange Online takes no passwords any more: let the profile sign in with authentication = "oauth2".'
)
TENANT: Final = (
    "Check tenant_id in the profile (the directory's id or one of its domains: Entra, Overview), and authority: it is "
    "another one in a national cloud."
)
APPLICATION: Final = (
    "Check client_id in the profile: that the application <application> is registered in this tenant (Entra, App "
    "registrations), and that its sign-in is not disabled."
)
APPLICATION_KEY: Final = (
    "Make a new client secret for the application (Entra, App registrations, <application>, Certificates & secrets) "
    "and put its value, not its id, where client_secret points."
)
APPLICATION_CERTIFICATE: Final = (
    "Upload the certificate that certificate points to (PEM, with its private key) to the application (Entra, App "
    "registrations, <application>, Certificates & secrets), renew it if it has expired, and check this machine's clock."
)
SCOPE: Final = (
    "Check scope in the profile: for Exchange Online https://outlook.office365.com/.default, in national clouds the "
    "Exchange host there, always with /.default."
)
CONSENT: Final = (
    "Let an administrator consent to the application's permission full_access_as_app of Office 365 Exchange Online "
    "(Entra, App registrations, <application>, API permissions, Grant admin consent)."
)
SIGN_IN_SERVICE: Final = (
    "See what the sign-in service says: Entra, Sign-in logs, Service principal sign-ins, has the whole story."
)
SIGN_IN_SERVICE_AWAY: Final = (
    "Check that the workers reach the sign-in service named by authority (name service, firewall, HTTPS_PROXY); the "
    "token they have is used as long as it is valid."
)
SIGN_IN_SERVICE_UNTRUSTED: Final = (
    "Check the certificate of the sign-in service named by authority. ca_file in the profile, where given, stands in "
    "place of the system's CAs: it must hold the CA of the sign-in service as well as that of Exchange."
)
REFUSED_BEARER: Final = (
    "Exchange takes the application's token for none: check this machine's clock, tenant_id and scope in the profile, "
    "and that the application may use EWS (Entra, API permissions: full_access_as_app, with admin consent)."
)
WAY: Final = (
    "Set authentication in the profile to a way the server offers (clear-text is Basic; ntlm; oauth2), or switch the "
    "profile's way on: Set-WebServicesVirtualDirectory -BasicAuthentication $true or -WindowsAuthentication $true. "
    "Exchange Online takes oauth2 only."
)
MISSING_REFERENCE: Final = "Set the environment variable or file that the password reference in the profiles names."
CLEAR_TEXT: Final = "Use an https:// location: a password is sent without TLS to loopback addresses only."
RETIREMENT: Final = (
    "EWS is not allowed here: Set-CASMailbox <mailbox> -EwsEnabled $true; see also Get-OrganizationConfig | "
    "Format-List Ews*: EwsEnabled must not be false, and EwsApplicationAccessPolicy with EwsAllowList or EwsBlockList "
    "must let the router's user agent pass, crm-mail-router/*."
)
_RETIREMENT_ONLINE: Final = (
    "EWS is not allowed here. Since 2026-10-01 it needs Set-OrganizationConfig -EwsEnabled $true and the application "
    "id <application> in EwsAllowedAppIDs (EWS ends there on 2027-04-01). Besides: Set-CASMailbox <mailbox> "
    "-EwsEnabled $true; EwsApplicationAccessPolicy with EwsAllowList or EwsBlockList must let the router's user agent "
    "pass, crm-mail-router/*; and the application needs the permission full_access_as_app with admin consent."
)
VERSION: Final = "The server or the mailbox's server is older than Exchange 2013, which the router needs."
LOCATION: Final = (
    "Check the profile's location: it must be the EWS endpoint itself, such as https://<server>/EWS/Exchange.asmx."
)
AUTODISCOVER: Final = (
    "See every step: 'mailrouter autodiscover <mailbox>'. Without Autodiscover: give the profile location in its place."
)
PROXY: Final = "Check the HTTP proxy that the environment names (HTTPS_PROXY, NO_PROXY)."
UNREACHABLE: Final = "Check the host and port in the profile's location, the name service, firewall and proxy."
NAME: Final = "Correct the host in the profile's location, or enter it in the name service (DNS)."
CERTIFICATE: Final = (
    "Check that the server speaks TLS 1.2 or newer there and nothing between ends it (firewall, load balancer); its "
    "certificate's name and date, and that its CA is known (ca_file in the profile for a private CA)."
)
UNTRUSTED: Final = (
    "The server's certificate is of a CA that is not known here: put that CA's certificate (PEM) into a file and name "
    "it as ca_file in the profile, or have the server use a certificate of a public CA."
)
WRONG_NAME: Final = (
    "The server's certificate is for another name: use the name it is for in the profile's location (see it: openssl "
    "s_client -connect <endpoint>), or have a certificate made for the name that is used."
)
EXPIRED_CERTIFICATE: Final = (
    "The server's certificate has expired, or is not valid yet: renew it in Exchange (Get-ExchangeCertificate, "
    "Enable-ExchangeCertificate -Services IIS), and check this machine's clock."
)
CA_FILE: Final = "Check that ca_file in the profile is a readable file with CA certificates in PEM form."
NO_ANSWER: Final = "Nothing: the router looks whether it was done. If it repeats, check the server and the network."
NOT_EWS: Final = "Check that the profile's location is Exchange itself: something else answered, or answered half."
RESTLESS: Final = "Nothing: it is tried again. If it goes on, see what changes or fills the mailbox's folders."

# Said of checks
NOT_SHOWN: Final = (
    "Have support look at this server: it does not show what it said it keeps, and without that a mail could leave "
    "twice. Do not send through it."
)
STATE_NOT_SHOWN: Final = (
    "Mail is sent all the same. Have support say that this server does not send a draft again that is submitted "
    "already: else a mail could leave twice."
)
NOT_LEFT: Final = (
    "Look into the Outbox and Drafts of <mailbox>, and see the mail flow: Get-Queue, Get-MessageTrackingLog -Sender "
    "<sender>."
)

# Said of reading
READ_AGAIN: Final = "Nothing: it is read again. If it repeats, give Exchange support the request id."
READ_AGAIN_NETWORK: Final = "Nothing: it is read again. If it repeats, check the server and the network."
UNREADABLE_MAIL: Final = (
    "Open the mail in Outlook: if it opens there, copy it into another folder and back into the Inbox. If many cannot "
    "be read, repair the mailbox: New-MailboxRepairRequest -Mailbox <mailbox> -CorruptionType SearchFolder,"
    "AggregateCounts,ProvisionedFolder,FolderView."
)
CONTENT_TOO_LARGE: Final = "Take the file out of the mailbox by hand: it is larger than what the router reads."
INBOX: Final = (
    "The Inbox, or the folder named in the profile, is not there or not for this account. Grant access: "
    "Add-MailboxPermission <mailbox> -User <account> -AccessRights FullAccess, or let the profile use impersonation; "
    "see what there is: Get-MailboxPermission <mailbox>, Get-MailboxFolderStatistics <mailbox>."
)
INBOX_FULL: Final = (
    "The mailbox is full, so the router cannot note in it how far it has read: empty it, or raise its quota "
    "(Set-Mailbox <mailbox> -ProhibitSendReceiveQuota)."
)
FINISHING: Final = (
    "Let the router's account change the mailbox, not only read it (Add-MailboxPermission <mailbox> -AccessRights "
    'FullAccess -User <account>), or set after = "leave" in the profile.'
)
SUBSCRIPTIONS: Final = (
    "Nothing: without notifications the mailbox is polled at its interval. For faster notice let the profile use "
    "impersonation, and see the limit of subscriptions (Get-ThrottlingPolicy, EwsMaxSubscriptions)."
)

ONLINE: Final = {
    SEND_AS: _SEND_AS_ONLINE,
    IMPERSONATION: _IMPERSONATION_ONLINE,
    SIGN_IN: _SIGN_IN_ONLINE,
    RETIREMENT: _RETIREMENT_ONLINE,
}
"""Remedies for a server of one's own, and what they are in Exchange Online."""

ON_BEHALF: Final = {SEND_AS: _SEND_ON_BEHALF}
"""Remedies for sending as somebody, and what they are for sending on behalf of somebody."""
