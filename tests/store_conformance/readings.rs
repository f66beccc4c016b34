//! What was read of windows, and by whom.

use switchman::domain::{Change, Model, Reading, Teller, Utilisation, Wall, Window};

use crate::rig::Rig;
use crate::rows::*;

pub(crate) async fn of_each_window_the_newest_word_of_each_teller_is_kept(rig: &Rig) {
    let store = rig.open();
    let reading = |window, told_by, at| Reading {
        subscription: sub("max-a"),
        window,
        model: None,
        utilisation: Some(Utilisation(425)),
        serves: true,
        reset_at: Some(Wall(T0 + 3_600_000)),
        at: Wall(T0 + at),
        told_by,
    };
    let own = reading(Window::FiveHour, Teller::Agent(agent("web")), 30);
    let told = reading(Window::FiveHour, Teller::Reporter, 10);
    let probed = Reading { serves: false, utilisation: None, ..reading(Window::FiveHour, Teller::Probe, 20) };
    let opus = Reading { model: Some(Model::new("opus")), reset_at: None, ..reading(Window::Model, Teller::Probe, 20) };
    let whole = reading(Window::Unknown, Teller::Reporter, 5);
    for reading in [&own, &told, &probed, &opus, &whole] {
        store.commit(vec![Change::ReadingTaken(reading.clone())]).await.unwrap();
    }
    let known = store.load_pool(Wall(T0)).await.unwrap().readings;
    // Both are trusted: of their words the newer one stands.
    let expected = [probed.clone(), own.clone(), opus.clone(), whole.clone()];
    assert_eq!(known, expected);
    let late = vec![Change::ReadingTaken(reading(Window::FiveHour, Teller::Reporter, 19))];
    store.commit(late).await.unwrap();
    drop(store);
    assert_eq!(rig.open().load_pool(Wall(T0)).await.unwrap().readings, expected, "what comes late replaces nothing");
    let newer = reading(Window::FiveHour, Teller::Reporter, 21);
    let store = rig.open();
    store.commit(vec![Change::ReadingTaken(newer.clone())]).await.unwrap();
    assert_eq!(store.load_pool(Wall(T0)).await.unwrap().readings[0], newer);
}
