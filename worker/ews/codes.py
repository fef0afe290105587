"""Every response code of Exchange Web Services, and what it means for a mail: one table, complete against the schema.

The names are those of the schema (`schemas/ews/messages.xsd`, ResponseCodeType); what they say of themselves stands in
the EWS reference, "ResponseCode". Whether a mail may be lost or doubled hangs on one column only, the disposition:
what is filed under LOOK is looked into, never repeated and never reported.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from worker.ews import remedies
from worker.mail.outcome import Scope

MESSAGE, RECIPIENT, MAILBOX, PROFILE, SERVER = Scope


class Disposition(StrEnum):
    TRANSIENT = "transient"
    """Not done; may work later."""
    LOOK = "look"
    """Perhaps done: only a look can tell."""
    FINAL = "final"
    """Not done, and never will be."""
    PAUSE = "pause"
    """Not done, and nothing else in the scope will be until somebody or something changes."""


TRANSIENT, LOOK, FINAL, PAUSE = Disposition


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure means. `refuses_sending`: said of a SendItem, it states that the mail was not sent.

    `about_account`: it speaks of the account that signs in, so with a user's own credentials of that mailbox only.
    `about_sender`: it speaks of the sender, also where the mail lies in an account's mailbox with that of others.
    """

    disposition: Disposition
    scope: Scope
    remedy: str = ""
    refuses_sending: bool = False
    about_account: bool = False
    about_sender: bool = False

    def with_scope(self, scope: Scope) -> "Verdict":
        return replace(self, scope=scope)

    @property
    def is_busy(self) -> bool:
        """Whether it is `BUSY`, of whatever scope."""
        return self.with_scope(BUSY.scope) == BUSY


def judged(
    disposition: Disposition, scope: Scope, remedy: str = "", *, doubtful: bool = False, about_account: bool = False
) -> Verdict:
    """A verdict by the rule: what is final or pauses refuses a send as well, unless said to be doubtful there."""
    refuses = disposition in (FINAL, PAUSE) and not doubtful
    return Verdict(disposition, scope, remedy, refuses_sending=refuses, about_account=about_account)


BUSY: Final = Verdict(TRANSIENT, MAILBOX, remedies.BUSY, refuses_sending=True)
"""The server says that it did not act, in all three shapes of saying so."""

UNKNOWN_CODE: Final = Verdict(TRANSIENT, MESSAGE, remedies.UNEXPECTED)
"""For a code newer than the table: a draft is tried again later, a send is looked into."""

_GROUPS: Final[tuple[tuple[Verdict, str], ...]] = (
    (BUSY, "ErrorServerBusy ErrorExceededConnectionCount"),
    # The store, the directory or a server between cannot be reached: nothing was done, the mailbox's mail waits.
    (
        judged(TRANSIENT, MAILBOX, remedies.UNAVAILABLE),
        """ErrorADOperation ErrorADSessionFilter ErrorADUnavailable ErrorCrossSiteRequest ErrorExceededFindCountLimit
        ErrorInsufficientResources ErrorLocalServerObjectNotFound ErrorLogonAsNetworkServiceFailed ErrorMailboxFailover
        ErrorMailboxMoveInProgress ErrorMailboxStoreUnavailable ErrorNoApplicableProxyCASServersAvailable
        ErrorNoDestinationCASDueToKerberosRequirements ErrorNoDestinationCASDueToSSLRequirements
        ErrorNoDestinationCASDueToVersionMismatch ErrorNoOAuthServerAvailableForRequest
        ErrorNoRespondingCASInDestinationSite ErrorNotEnoughMemory ErrorProxyGroupSidLimitExceeded
        ErrorProxyRequestNotAllowed ErrorProxyServiceDiscoveryFailed ErrorProxyTokenExpired
        ErrorResultSetTooBig ErrorServiceDiscoveryFailed ErrorTooManyObjectsOpened""",
    ),
    # The server broke off, perhaps after it had done the work.
    (
        judged(LOOK, MESSAGE, remedies.BROKE_OFF),
        """ErrorBatchProcessingStopped ErrorClientDisconnected ErrorConnectionFailed ErrorDataSourceOperation
        ErrorInternalServerError ErrorInternalServerTransientError ErrorItemSave ErrorMoveCopyFailed
        ErrorParsingXMLResponse ErrorProxyCallFailed ErrorProxyRequestProcessingFailed ErrorProxySoapException
        ErrorRequestAborted ErrorResponseSchemaValidation ErrorTimeoutExpired ErrorWebRequestInInvalidState
        ErrorWin32InteropError""",
    ),
    # The item is not what the look showed: sent, retired or changed by somebody meanwhile.
    (
        judged(LOOK, MESSAGE, remedies.CHANGED),
        """ErrorChangeKeyRequired ErrorChangeKeyRequiredForWriteOperations ErrorInvalidChangeKey ErrorInvalidId
        ErrorInvalidIdEmpty ErrorInvalidIdMalformed ErrorInvalidIdMalformedEwsLegacyIdFormat
        ErrorInvalidIdMonikerTooLong ErrorInvalidIdNotAnItemAttachmentId ErrorInvalidIdStoreObjectIdTooLong
        ErrorInvalidIdXml ErrorInvalidItemForOperationSendItem ErrorInvalidPropertyUpdateSentMessage
        ErrorInvalidSyncStateData ErrorIrresolvableConflict ErrorItemCorrupt ErrorItemNotFound ErrorObjectTypeChanged
        ErrorStaleObject""",
    ),
    (
        judged(FINAL, RECIPIENT, remedies.RECIPIENTS),
        """ErrorInvalidRecipients ErrorInvalidRoutingType ErrorInvalidSmtpAddress ErrorMailRecipientNotFound
        ErrorMissingEmailAddress ErrorMissingInformationEmailAddress ErrorMissingRecipients ErrorRecipientNotFound""",
    ),
    (
        judged(FINAL, MESSAGE, remedies.TOO_MANY_RECIPIENTS),
        "ErrorExceededMaxRecipientLimit ErrorExceededMaxRecipientLimitShowTierUpgrade",
    ),
    (
        judged(FINAL, MESSAGE, remedies.TOO_LARGE),
        """ErrorAttachmentNestLevelLimitExceeded ErrorAttachmentSizeLimitExceeded ErrorDataSizeLimitExceeded
        ErrorMessageSizeExceeded ErrorRequestStreamTooBig""",
    ),
    (judged(FINAL, MESSAGE, remedies.BLOCKED), "ErrorMessageBlocked ErrorVirusDetected ErrorVirusMessageDeleted"),
    # The request itself is refused: a text, a header or an attachment of this mail, or a fault of ours.
    (
        judged(FINAL, MESSAGE, remedies.REFUSED),
        """ErrorCannotOpenFileAttachment ErrorContentConversionFailed ErrorCorruptData ErrorDuplicateSOAPHeader
        ErrorIncorrectUpdatePropertyCount ErrorInvalidArgument ErrorInvalidAttachmentId ErrorInvalidExtendedProperty
        ErrorInvalidExtendedPropertyValue ErrorInvalidInternetHeaderChildNodes ErrorInvalidItemForOperationCreateItem
        ErrorInvalidOperation ErrorInvalidPropertyAppend ErrorInvalidPropertyDelete ErrorInvalidPropertyForOperation
        ErrorInvalidPropertyRequest ErrorInvalidPropertySet ErrorInvalidReferenceItem ErrorInvalidRequest
        ErrorInvalidSendItemSaveSettings ErrorInvalidValueForProperty ErrorItemPropertyRequestFailed
        ErrorItemSavePropertyError ErrorMessageDispositionRequired ErrorMimeContentConversionFailed
        ErrorMimeContentInvalid ErrorMimeContentInvalidBase64String ErrorMissingArgument
        ErrorNoPropertyTagForCustomProperties ErrorPropertyUpdate ErrorPropertyValidationFailure
        ErrorRequiredPropertyMissing ErrorSchemaValidation ErrorUnsupportedCulture ErrorUnsupportedMapiPropertyType
        ErrorUnsupportedMimeConversion ErrorUnsupportedPropertyDefinition ErrorUnsupportedTypeForConversion
        ErrorUpdatePropertyMismatch ErrorValueOutOfRange""",
    ),
    (Verdict(PAUSE, MAILBOX, remedies.SEND_AS, refuses_sending=True, about_sender=True), "ErrorSendAsDenied"),
    (
        judged(PAUSE, MAILBOX, remedies.ACCESS),
        """ErrorAccessDenied ErrorCreateItemAccessDenied ErrorCreateSubfolderAccessDenied
        ErrorDelegateMissingConfiguration ErrorMailboxLogonFailed ErrorNotDelegate""",
    ),
    (
        judged(PAUSE, MAILBOX, remedies.IMPERSONATION),
        """ErrorImpersonateUserDenied ErrorImpersonationDenied ErrorImpersonationFailed
        ErrorInvalidExchangeImpersonationHeaderData""",
    ),
    (
        judged(PAUSE, MAILBOX, remedies.NO_MAILBOX),
        """ErrorAddressSpaceNotFound ErrorCannotFindUser ErrorEmailAddressMismatch ErrorInvalidLicense
        ErrorInvalidMailbox ErrorInvalidSid ErrorInvalidUserInfo ErrorInvalidUserPrincipalName ErrorInvalidUserSid
        ErrorInvalidUserSidMissingUPN ErrorMailboxConfiguration ErrorMissingExchangePrincipal ErrorNonExistentMailbox
        ErrorNonPrimarySmtpAddress ErrorUnifiedGroupMailboxNotFound""",
    ),
    # The mailbox may fill up on the copy, after the mail has left.
    (
        judged(PAUSE, MAILBOX, remedies.QUOTA, doubtful=True),
        "ErrorMessagePerFolderCountReceiveQuotaExceeded ErrorQuotaExceeded",
    ),
    (
        judged(PAUSE, MAILBOX, remedies.SENDING_LIMIT),
        """ErrorAccountSuspend ErrorAccountSuspendShowTierUpgrade ErrorExceededMaxRecipientLimitBlock
        ErrorExceededMessageLimit ErrorExceededMessageLimitShowTierUpgrade ErrorMessageSubmissionBlocked
        ErrorSubmissionQuotaExceeded""",
    ),
    # Drafts or Sent Items cannot be used. Said of a send, it may be the copy that failed.
    (
        judged(PAUSE, MAILBOX, remedies.FOLDERS, doubtful=True),
        """ErrorFolderCorrupt ErrorFolderNotFound ErrorFolderSave ErrorFolderSaveFailed ErrorFolderSavePropertyError
        ErrorInvalidFolderId ErrorInvalidFolderTypeForOperation ErrorInvalidParentFolder ErrorParentFolderIdRequired
        ErrorParentFolderNotFound ErrorSavedItemFolderNotFound ErrorSyncFolderNotFound ErrorToFolderNotFound""",
    ),
    (
        judged(PAUSE, PROFILE, remedies.EXPIRED, about_account=True),
        "ErrorPasswordChangeRequired ErrorPasswordExpired",
    ),
    (
        judged(PAUSE, PROFILE, remedies.ACCOUNT, about_account=True),
        """ErrorAccountDisabled ErrorCallerIsInvalidADAccount ErrorInvalidAuthorizationContext
        ErrorInvalidClientAccessTokenRequest ErrorInvalidClientSecurityContext ErrorInvalidCrossForestCredentials
        ErrorInvalidLogonType ErrorInvalidNetworkServiceContext ErrorInvalidProxySecurityContext
        ErrorInvalidSerializedAccessToken ErrorTokenSerializationDenied ErrorUserNotAllowedByPolicy""",
    ),
    (judged(PAUSE, PROFILE, remedies.RETIREMENT), "ErrorOrganizationAccessBlocked"),
    (
        judged(PAUSE, PROFILE, remedies.VERSION),
        """ErrorIncorrectSchemaVersion ErrorInvalidSchemaVersionForMailboxVersion ErrorInvalidServerVersion
        ErrorWrongServerVersion ErrorWrongServerVersionDelegate""",
    ),
    # Notifications are lost, or not to be had: polling goes on without them.
    (
        judged(TRANSIENT, MAILBOX, remedies.SUBSCRIPTIONS),
        """ErrorEventNotFound ErrorExceededSubscriptionCount ErrorExpiredSubscription
        ErrorInvalidPullSubscriptionId ErrorInvalidSubscription ErrorInvalidSubscriptionRequest
        ErrorInvalidWatermark ErrorMissedNotificationEvents ErrorNewEventStreamConnectionOpened
        ErrorProxiedSubscriptionCallFailure ErrorReadEventsFailed ErrorSubscriptionAccessDenied
        ErrorSubscriptionDelegateAccessNotSupported ErrorSubscriptionNotFound ErrorSubscriptionUnsubscribed""",
    ),
    # Another worker has made the folder meanwhile.
    (judged(TRANSIENT, MAILBOX, remedies.READ_AGAIN), "ErrorFolderExists"),
    # Codes of operations the router never asks for. Should one come all the same, it is treated as an unknown one.
    (
        UNKNOWN_CODE,
        """ErrorAccessModeSpecified ErrorAddDelegatesFailed ErrorAffectedTaskOccurrencesRequired
        ErrorApplyConversationActionFailed ErrorArchiveFolderPathCreation ErrorArchiveMailboxNotEnabled
        ErrorArchiveMailboxSearchFailed ErrorArchiveMailboxServiceDiscoveryFailed ErrorAutoDiscoverFailed
        ErrorAvailabilityConfigNotFound ErrorCalendarCannotMoveOrCopyOccurrence
        ErrorCalendarCannotUpdateDeletedItem ErrorCalendarCannotUseIdForOccurrenceId
        ErrorCalendarCannotUseIdForRecurringMasterId ErrorCalendarDurationIsTooLong
        ErrorCalendarEndDateIsEarlierThanStartDate ErrorCalendarFolderIsInvalidForCalendarView
        ErrorCalendarInvalidAttributeValue ErrorCalendarInvalidDayForTimeChangePattern
        ErrorCalendarInvalidDayForWeeklyRecurrence ErrorCalendarInvalidPropertyState
        ErrorCalendarInvalidPropertyValue ErrorCalendarInvalidRecurrence ErrorCalendarInvalidTimeZone
        ErrorCalendarIsCancelledForAccept ErrorCalendarIsCancelledForDecline
        ErrorCalendarIsCancelledForRemove ErrorCalendarIsCancelledForTentative
        ErrorCalendarIsDelegatedForAccept ErrorCalendarIsDelegatedForDecline
        ErrorCalendarIsDelegatedForRemove ErrorCalendarIsDelegatedForTentative
        ErrorCalendarIsGroupMailboxForAccept ErrorCalendarIsGroupMailboxForDecline
        ErrorCalendarIsGroupMailboxForSuppressReadReceipt ErrorCalendarIsGroupMailboxForTentative
        ErrorCalendarIsNotOrganizer ErrorCalendarIsOrganizerForAccept ErrorCalendarIsOrganizerForDecline
        ErrorCalendarIsOrganizerForRemove ErrorCalendarIsOrganizerForTentative
        ErrorCalendarMeetingRequestIsOutOfDate ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange
        ErrorCalendarOccurrenceIsDeletedFromRecurrence ErrorCalendarOutOfRange
        ErrorCalendarSeekToConditionNotSupported ErrorCalendarViewRangeTooBig
        ErrorCannotAccessDeletedPublicFolder ErrorCannotArchiveCalendarContactTaskFolderException
        ErrorCannotArchiveItemsInArchiveMailbox ErrorCannotArchiveItemsInPublicFolders
        ErrorCannotCreateCalendarItemInNonCalendarFolder ErrorCannotCreateContactInNonContactFolder
        ErrorCannotCreatePostItemInNonMailFolder ErrorCannotCreateTaskInNonTaskFolder
        ErrorCannotDeleteObject ErrorCannotDeleteTaskOccurrence ErrorCannotDisableMandatoryExtension
        ErrorCannotEmptyFolder ErrorCannotGetExternalEcpUrl ErrorCannotGetSourceFolderPath
        ErrorCannotSetCalendarPermissionOnNonCalendarFolder
        ErrorCannotSetNonCalendarPermissionOnCalendarFolder ErrorCannotSetPermissionUnknownEntries
        ErrorCannotSpecifySearchFolderAsSourceFolder ErrorCannotUninstallProvidedExtensions
        ErrorCannotUseFolderIdForItemId ErrorCannotUseItemIdForFolderId
        ErrorClientIntentInvalidStateDefinition ErrorClientIntentNotFound ErrorContainsFilterWrongType
        ErrorContentIndexingNotEnabled ErrorCreateManagedFolderPartialCompletion ErrorCrossMailboxMoveCopy
        ErrorDelegateAlreadyExists ErrorDelegateCannotAddOwner ErrorDelegateNoUser
        ErrorDelegateValidationFailed ErrorDeleteDistinguishedFolder ErrorDeleteItemsFailed
        ErrorDeleteUnifiedMessagingPromptFailed ErrorDiscoverySearchesDisabled
        ErrorDistinguishedUserNotSupported ErrorDistributionListMemberNotExist
        ErrorDuplicateExtendedKeywordDefinition ErrorDuplicateInputFolderNames
        ErrorDuplicateLegacyDistinguishedName ErrorDuplicateSenderRestrictionsInputFound
        ErrorDuplicateUserIdsSpecified ErrorExportRemoteArchiveItemsFailed
        ErrorExtensionAlreadyInstalledForOrg ErrorExtensionNotFound ErrorFindRemoteArchiveFolderFailed
        ErrorFolderPropertRequestFailed ErrorFreeBusyDLLimitReached ErrorFreeBusyGenerationFailed
        ErrorGetRemoteArchiveFolderFailed ErrorGetRemoteArchiveItemFailed
        ErrorGetServerSecurityDescriptorFailed ErrorIPGatewayNotFound ErrorImContactLimitReached
        ErrorImGroupDisplayNameAlreadyExists ErrorImGroupLimitReached ErrorInboxRulesValidationError
        ErrorIndividualMailboxLimitReached ErrorInstantSearchFailed ErrorInstantSearchSessionExpired
        ErrorInstantSearchTimeout ErrorInvalidAccessLevel ErrorInvalidAttachmentSubfilter
        ErrorInvalidAttachmentSubfilterTextFilter ErrorInvalidBulkActionType ErrorInvalidCompleteDate
        ErrorInvalidContactEmailAddress ErrorInvalidContactEmailIndex ErrorInvalidDelegatePermission
        ErrorInvalidDelegateUserId ErrorInvalidExcludesRestriction ErrorInvalidExpressionTypeForSubFilter
        ErrorInvalidExtensionId ErrorInvalidExternalSharingInitiator ErrorInvalidExternalSharingSubscriber
        ErrorInvalidFederatedOrganizationId ErrorInvalidFederationOrganizationIdentifier
        ErrorInvalidFractionalPagingParameters ErrorInvalidFreeBusyViewType
        ErrorInvalidGetSharingFolderRequest ErrorInvalidIdReturnedByResolveNames
        ErrorInvalidIdTooManyAttachmentLevels ErrorInvalidImContactId
        ErrorInvalidImDistributionGroupSmtpAddress ErrorInvalidImGroupId ErrorInvalidIndexedPagingParameters
        ErrorInvalidInternetWebProxyOnLocalServer ErrorInvalidItemForOperationAcceptItem
        ErrorInvalidItemForOperationArchiveItem ErrorInvalidItemForOperationCancelItem
        ErrorInvalidItemForOperationCreateItemAttachment ErrorInvalidItemForOperationDeclineItem
        ErrorInvalidItemForOperationExpandDL ErrorInvalidItemForOperationRemoveItem
        ErrorInvalidItemForOperationTentative ErrorInvalidKeepNCount ErrorInvalidKeepNType
        ErrorInvalidLatitude ErrorInvalidLikeRequest ErrorInvalidLongitude ErrorInvalidManagedFolderProperty
        ErrorInvalidManagedFolderQuota ErrorInvalidManagedFolderSize ErrorInvalidManagementRoleHeader
        ErrorInvalidMergedFreeBusyInterval ErrorInvalidNameForNameResolution ErrorInvalidOofParameter
        ErrorInvalidOrganizationRelationshipForFreeBusy ErrorInvalidPagingMaxRows
        ErrorInvalidPercentCompleteValue ErrorInvalidPermissionSettings ErrorInvalidPhoneCallId
        ErrorInvalidPhoneNumber ErrorInvalidPhotoSize ErrorInvalidPropertyForExists
        ErrorInvalidPushSubscriptionUrl ErrorInvalidRecipientSubfilter
        ErrorInvalidRecipientSubfilterComparison ErrorInvalidRecipientSubfilterOrder
        ErrorInvalidRecipientSubfilterTextFilter ErrorInvalidReportMessageActionType ErrorInvalidRestriction
        ErrorInvalidRetentionTagIdGuid ErrorInvalidRetentionTagInheritance ErrorInvalidRetentionTagInvisible
        ErrorInvalidRetentionTagNone ErrorInvalidRetentionTagTypeMismatch ErrorInvalidSIPUri
        ErrorInvalidScheduledOofDuration ErrorInvalidSecurityDescriptor ErrorInvalidSharingData
        ErrorInvalidSharingMessage ErrorInvalidSubfilterType ErrorInvalidSubfilterTypeNotAttendeeType
        ErrorInvalidSubfilterTypeNotRecipientType ErrorInvalidSweepRule ErrorInvalidSweepRuleOperationType
        ErrorInvalidTimeInterval ErrorInvalidUserOofSettings ErrorLegacyMailboxFreeBusyViewTypeNotMerged
        ErrorLocationServicesDisabled ErrorLocationServicesInvalidRequest ErrorLocationServicesRequestFailed
        ErrorLocationServicesRequestTimedOut ErrorMailTipsDisabled ErrorMailboxDataArrayEmpty
        ErrorMailboxDataArrayTooBig ErrorMailboxHoldNotFound ErrorMailboxScopeNotAllowedWithoutQueryString
        ErrorManagedFolderAlreadyExists ErrorManagedFolderNotFound ErrorManagedFoldersRootFailure
        ErrorMarketPlaceExtensionAlreadyInstalledForOrg ErrorMeetingSuggestionGenerationFailed
        ErrorMessageTrackingNoSuchDomain ErrorMessageTrackingPermanentError
        ErrorMessageTrackingTransientError ErrorMissingEmailAddressForManagedFolder
        ErrorMissingInformationReferenceItemId ErrorMissingInformationSharingFolderId
        ErrorMissingItemForCreateItemAttachment ErrorMissingManagedFolderId ErrorMissingUserIdInformation
        ErrorMoreThanOneAccessModeSpecified ErrorMoveDistinguishedFolder ErrorMultiLegacyMailboxAccess
        ErrorNameResolutionMultipleResults ErrorNameResolutionNoMailbox ErrorNameResolutionNoResults
        ErrorNewerExtensionAlreadyInstalled ErrorNewerMarketPlaceExtensionAlreadyInstalled ErrorNoCalendar
        ErrorNoFolderClassOverride ErrorNoFreeBusyAccess ErrorNoPublicFolderReplicaAvailable
        ErrorNoPublicFolderServerAvailable ErrorNoRbacPermissionToInstallMarketPlaceExtensions
        ErrorNoRbacPermissionToInstallReadWriteMailboxExtensions
        ErrorNoSenderRestrictionsSettingsFoundInRequest ErrorNoSpeechDetected
        ErrorNotAllowedExternalSharingByPolicy ErrorNotSupportedSharingMessage
        ErrorOccurrenceCrossingBoundary ErrorOccurrenceTimeSpanTooBig
        ErrorOperationNotAllowedWithPublicFolderRoot ErrorOrganizationNotFederated
        ErrorOutlookRuleBlobExists ErrorPermissionNotAllowedByPolicy ErrorPhoneNumberNotDialable
        ErrorPromptPublishingOperationFailed ErrorPublicFolderMailboxDiscoveryFailed
        ErrorPublicFolderOperationFailed ErrorPublicFolderRequestProcessingFailed
        ErrorPublicFolderServerNotFound ErrorPublicFolderSyncException ErrorQueryFilterTooLong
        ErrorReadReceiptNotPending ErrorRecognizerNotInstalled ErrorRecurrenceEndDateTooBig
        ErrorRecurrenceHasNoOccurrence ErrorRemoveDelegatesFailed ErrorResolveNamesInvalidFolderType
        ErrorResolveNamesOnlyOneContactsFolderAllowed ErrorRestrictionTooComplex ErrorRestrictionTooLong
        ErrorRulesOverQuota ErrorSearchFolderNotInitialized ErrorSearchQueryHasTooManyKeywords
        ErrorSearchTooManyMailboxes ErrorSendMeetingCancellationsRequired
        ErrorSendMeetingInvitationsOrCancellationsRequired ErrorSendMeetingInvitationsRequired
        ErrorSenderRestrictionsUpdateFailed ErrorSentMeetingRequestUpdate ErrorSentTaskRequestUpdate
        ErrorSharingNoExternalEwsAvailable ErrorSharingSynchronizationFailed ErrorSpeechGrammarError
        ErrorTargetDomainNotSupported ErrorTeamMailboxActiveToPendingDelete ErrorTeamMailboxErrorUnknown
        ErrorTeamMailboxFailedSendingNotifications ErrorTeamMailboxNotAuthorizedOwner
        ErrorTeamMailboxNotFound ErrorTeamMailboxNotLinkedToSharePoint ErrorTeamMailboxUrlValidationFailed
        ErrorTimeIntervalTooBig ErrorTimeZone ErrorUMServerUnavailable ErrorUnableToGetUserOofSettings
        ErrorUnableToRemoveImContactFromGroup ErrorUnexpectedUnifiedGroupsCount
        ErrorUnifiedGroupAadAuthorizationRequestDenied ErrorUnifiedGroupAlreadyExists
        ErrorUnifiedGroupCreationDisabled ErrorUnifiedGroupMailboxAADCreationFailed
        ErrorUnifiedGroupMailboxAADDeleteFailed ErrorUnifiedGroupMailboxDeleteFailed
        ErrorUnifiedGroupMailboxNamingPolicy ErrorUnifiedGroupMailboxProvisionFailed
        ErrorUnifiedGroupMailboxUpdateDelayed ErrorUnifiedGroupMailboxUpdateFailed
        ErrorUnifiedGroupMailboxUpdatedPartialProperties ErrorUnifiedMessagingDialPlanNotFound
        ErrorUnifiedMessagingPromptNotFound ErrorUnifiedMessagingReportDataNotFound
        ErrorUnifiedMessagingRequestFailed ErrorUnifiedMessagingServerNotFound ErrorUnsupportedPathForQuery
        ErrorUnsupportedPathForSortGroup ErrorUnsupportedQueryFilter ErrorUnsupportedRecurrence
        ErrorUnsupportedSubFilter ErrorUnsupportedUserForExecuteSearch ErrorUpdateDelegatesFailed
        ErrorUserNotUnifiedMessagingEnabled ErrorUserWithoutFederatedProxyAddress
        ErrorVoiceMailNotImplemented ErrorWeatherServiceDisabled ErrorWorkingHoursSaveFailed
        ErrorWorkingHoursXmlMalformed""",
    ),
)


def _table() -> dict[str, Verdict]:
    table: dict[str, Verdict] = {}
    for verdict, names in _GROUPS:
        for name in names.split():
            assert name not in table, name
            table[name] = verdict
    return table


TABLE: Final = _table()


def verdict_on(code: str) -> Verdict:
    """What a response code means, known or not."""
    return TABLE.get(code, UNKNOWN_CODE)
