"""Which operations there are."""

from typing import Final

from worker.sandbox.operations.attachments import CREATE_ATTACHMENT, DELETE_ATTACHMENT, GET_ATTACHMENT
from worker.sandbox.operations.conversation import GET_CONVERSATION_ITEMS
from worker.sandbox.operations.convert_id import CONVERT_ID
from worker.sandbox.operations.create_item import CREATE_ITEM
from worker.sandbox.operations.delete_item import DELETE_ITEM
from worker.sandbox.operations.find_item import FIND_ITEM
from worker.sandbox.operations.folders import CREATE_FOLDER, FIND_FOLDER, GET_FOLDER
from worker.sandbox.operations.get_item import GET_ITEM
from worker.sandbox.operations.move_item import MOVE_ITEM
from worker.sandbox.operations.notifications import GET_EVENTS, GET_STREAMING_EVENTS, SUBSCRIBE, UNSUBSCRIBE
from worker.sandbox.operations.operation import Operation
from worker.sandbox.operations.resolve_names import RESOLVE_NAMES
from worker.sandbox.operations.send_item import SEND_ITEM
from worker.sandbox.operations.sync_folder_hierarchy import SYNC_FOLDER_HIERARCHY
from worker.sandbox.operations.sync_folder_items import SYNC_FOLDER_ITEMS
from worker.sandbox.operations.time_zones import GET_SERVER_TIME_ZONES
from worker.sandbox.operations.update_item import UPDATE_ITEM
from worker.sandbox.operations.user_configuration import USER_CONFIGURATION

OPERATIONS: Final[dict[str, Operation]] = {
    "ConvertId": CONVERT_ID,
    "CopyItem": MOVE_ITEM,
    "CreateAttachment": CREATE_ATTACHMENT,
    "CreateFolder": CREATE_FOLDER,
    "CreateItem": CREATE_ITEM,
    "CreateUserConfiguration": USER_CONFIGURATION,
    "DeleteAttachment": DELETE_ATTACHMENT,
    "DeleteItem": DELETE_ITEM,
    "DeleteUserConfiguration": USER_CONFIGURATION,
    "FindFolder": FIND_FOLDER,
    "FindItem": FIND_ITEM,
    "GetAttachment": GET_ATTACHMENT,
    "GetConversationItems": GET_CONVERSATION_ITEMS,
    "GetEvents": GET_EVENTS,
    "GetFolder": GET_FOLDER,
    "GetItem": GET_ITEM,
    "GetServerTimeZones": GET_SERVER_TIME_ZONES,
    "GetStreamingEvents": GET_STREAMING_EVENTS,
    "GetUserConfiguration": USER_CONFIGURATION,
    "MoveItem": MOVE_ITEM,
    "ResolveNames": RESOLVE_NAMES,
    "SendItem": SEND_ITEM,
    "Subscribe": SUBSCRIBE,
    "SyncFolderHierarchy": SYNC_FOLDER_HIERARCHY,
    "SyncFolderItems": SYNC_FOLDER_ITEMS,
    "Unsubscribe": UNSUBSCRIBE,
    "UpdateItem": UPDATE_ITEM,
    "UpdateUserConfiguration": USER_CONFIGURATION,
}
